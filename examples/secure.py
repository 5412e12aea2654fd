"""Connect over TLS, and trust one certificate authority only: the one whose certificate is in the file ca.der.

`openssl x509 -in ca.pem -outform DER -out ca.der` makes that file; `mpremote cp ca.der :` puts it onto a board.
The server's name must be the one that its certificate says.
"""

import sys

from umqtt_full import MQTTClient

SERVER = sys.argv[1] if len(sys.argv) > 1 else "broker.example"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8883
CA = sys.argv[3] if len(sys.argv) > 3 else "ca.der"

try:
    import ntptime

    ntptime.settime()  # a board's clock begins at a date on which no certificate is valid
except ImportError:
    pass  # a computer sets its clock by itself

with open(CA, "rb") as file:
    ca = file.read()
client = MQTTClient("secure", SERVER, PORT, ssl=True, ssl_params={"cadata": ca})
try:
    client.connect()
except OSError as error:
    print("not connected:", error)
    sys.exit(1)
client.publish("examples/secret", "for the broker only", qos=1)
print("published over TLS")
client.disconnect()
