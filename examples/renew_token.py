"""Log in with a token that lasts for a while: each connect() makes a new one.

The password of a CONNECT is `client.pswd`. A subclass sets it before each attempt, so that the reconnects of
umqtt_full.robust have a fresh one too. Clouds call such a token SAS or JWT: put what yours wants into token().
"""

import hashlib
import sys
import time
from binascii import hexlify

from umqtt_full.robust import MQTTClient

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
KEY = b"the key that your server gave this device"
VALID_S = 3600


def hmac_sha256(key, message):
    key = (key if len(key) <= 64 else hashlib.sha256(key).digest()) + bytes(64)
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in key[:64]]) + message).digest()
    return hashlib.sha256(bytes([byte ^ 0x5C for byte in key[:64]]) + inner).digest()


def token(client_id):
    """A text with the time of its end, and a signature that only an owner of the key can make. The clock must be right:
    on a board, set it from the network first (ntptime)."""
    claim = "%s %d" % (client_id, time.time() + VALID_S)
    return claim + " " + hexlify(hmac_sha256(KEY, claim.encode())).decode()


class Client(MQTTClient):
    def connect(self, *arguments, **options):
        self.pswd = token(self.client_id)
        return super().connect(*arguments, **options)


client = Client("renew-token", SERVER, PORT, user="renew-token", keepalive=30)
client.connect(clean_session=False)
number = 0
while True:
    number += 1
    client.publish("examples/count", str(number), qos=1)
    print("published", number)
    client.poll()
    time.sleep(0.2)
