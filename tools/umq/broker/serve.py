"""The broker of the library at work on this computer, and its own messages on $SYS."""

import asyncio
import errno
import os
import signal
import ssl
import time

from umq.build.packages import version
from umq.errors import UserError, meant
from umq.plain import plain

_TURN_S = 0.25  # between two views
_SYS_S = 10  # between two messages on $SYS


def broker(access, journal, limits):
    """A Broker with these limits. journal: its file, or None."""
    from umqtt_full.broker import Broker
    from umqtt_full.broker_journal import BrokerJournal

    known = Broker().limits
    for name in limits:
        if name not in known:
            raise UserError(f"there is no limit {plain(name)!r}{meant(name, known)}: choose of {', '.join(known)}")
    try:
        return Broker(access, BrokerJournal(str(journal)) if journal else None, **limits)
    except OSError as error:
        raise UserError(f"the journal {journal} cannot be written: {os.strerror(error.errno or 0)}")
    except ValueError as error:
        if journal and str(error).startswith(str(journal)):
            raise UserError(f"{error}: choose another file for --journal")
        raise UserError(f"--limit: {str(error).removeprefix('limits: ').removeprefix('limit ')}")


def tls(cert, key):
    """The SSLContext of these files, or None for none."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise UserError("TLS needs both --cert and --key")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.load_cert_chain(cert, key)
    except ssl.SSLError:
        raise UserError(f"{cert} and {key} are not a certificate and its key, both PEM and without a passphrase")
    except OSError as error:
        missing = next((file for file in (cert, key) if not file.is_file()), cert)
        raise UserError(f"{missing} cannot be read: {error.strerror}")
    return made


def serve(broker, screen, host, port, context, anonymous, seconds):
    """Serve until Ctrl-C, SIGTERM, or so many seconds -> the exit status."""
    from umqtt_full.broker_aio import Server

    try:
        server = Server(broker, host, port or 0, context, anonymous)
    except ValueError:
        raise UserError(
            f"at {plain(host)} everybody in the network could come in: "
            "give --users FILE, or say --allow-anonymous if that is meant"
        )
    broker.on_event = screen.event
    try:
        asyncio.run(_serve(broker, server, screen, seconds))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        raise UserError(_cannot_listen(error, server))
    return 0


def _cannot_listen(error, server):
    where = f"{plain(server.host)}:{server.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use already: end the other broker, or choose another --port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where} is not for ordinary users: choose a --port above 1023"
    return f"{where} is no address of this computer: choose another --host"


async def _serve(broker, server, screen, seconds):
    await server.start()
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    broker.publish("$SYS/broker/version", f"umqtt_full {version()}", retain=True)
    began = time.monotonic()
    told = 0
    screen.begin(broker, server)
    if broker.journal and broker.journal.report:
        screen.event("error", "", broker.journal.report)
    while not over.is_set():
        passed = time.monotonic() - began
        if seconds is not None and passed >= seconds:
            break
        if passed >= told:
            told += _SYS_S
            connected = sum(session.link is not None for session in broker.sessions.values())
            broker.publish("$SYS/broker/uptime", f"{int(passed)} seconds", retain=True)
            broker.publish("$SYS/broker/clients/connected", connected, retain=True)
        screen.draw()
        try:
            await asyncio.wait_for(over.wait(), _TURN_S if seconds is None else min(_TURN_S, seconds))
        except asyncio.TimeoutError:
            pass
    await server.stop()
    await asyncio.sleep(0)  # the connections say goodbye
    if broker.journal:
        broker.journal.close()
    screen.end()
