# A broker of the library in a process of its own, on either Python. The first line of its input is a JSON object: port,
# limits {name: number}, users, rules, cert, key. It prints "> ready", and each event as "* [event, client id, words]".
# On MicroPython it answers a message to heap/ask with one to heap/is.

import asyncio
import gc
import json
import sys

from umqtt_full.access import Access
from umqtt_full.broker_aio import Broker, Server


def context(options):
    # An SSLContext for a server, of files in PEM on CPython and in DER on MicroPython
    if "cert" not in options:
        return None
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(options["cert"], options["key"])
    return made


def tell_heap(broker):
    # Bytes of heap in use, as a message
    gc.collect()
    broker.publish("heap/is", gc.mem_alloc(), qos=1)


async def main(options):
    access = Access(options.get("users", ""), options.get("rules"), True) if options.get("access") else None
    broker = Broker(access, **options.get("limits", {}))
    broker.on_event = lambda *what: print("* " + json.dumps(what))
    broker.publish("$SYS/broker/version", "umqtt_full", retain=True)
    if hasattr(gc, "mem_alloc"):
        broker.subscribe("heap/ask", lambda m: tell_heap(broker))
    server = Server(broker, port=options["port"], ssl=context(options))
    await server.start()
    print("> ready")
    while True:
        await asyncio.sleep(3600)


asyncio.run(main(json.loads(sys.stdin.readline())))
