# What is asked of the devices around the board. They live in the host's process; umq/virtual/wiring.py answers.
#
# A request is a datagram: number, operation, four small arguments, the length of its data, the bytes wanted, the data.
# The answer: an errno or 0, and the bytes. Nothing here takes heap, as on a chip.

import _thread
import struct

from virtual.host import host

ALIGN, I2C, SPI, PIN, ONEWIRE_RESET, ONEWIRE_WRITE, ONEWIRE_READ, DHT, ADC, PWM, EDGES = range(11)
MOST_BYTES = 4096
_HEAD = 10
_MARK = b"\xa5aligned"


class _Wires:
    def __init__(self):
        self._requests = open(host.says["requests"], "wb")
        self._answers = open(host.says["answers"], "rb")
        self._out = bytearray(_HEAD + MOST_BYTES)
        self._in = bytearray(1 + MOST_BYTES)
        self._number = 0
        self._is_torn = False  # an interrupt came, and left an answer unread
        self._lock = _thread.allocate_lock()  # a timer's callback is a thread here

    def ask(self, operation, a=0, b=0, c=0, d=0, data=None, into=None):
        """Send a request, and wait for its answer, whose bytes go into the buffer `into`. OSError, as the host says."""
        size = len(data) if data is not None else 0
        wanted = len(into) if into is not None else 0
        if size > MOST_BYTES or wanted > MOST_BYTES:
            raise ValueError("this board moves at most 4,096 bytes at once")
        found = self._in
        with self._lock:
            if self._is_torn:
                self._align()
            self._is_torn = True
            if size:
                self._out[_HEAD : _HEAD + size] = data
            self._send(operation, a, b, c, d, size, wanted)
            self._answers.readinto(found, 1 + wanted)
            self._is_torn = False
            if found[0]:
                raise OSError(found[0])
            for i in range(wanted):
                into[i] = found[1 + i]

    def _send(self, operation, a, b, c, d, size, wanted):
        self._number = (self._number + 1) & 0xFF
        struct.pack_into("<BBBBBBHH", self._out, 0, self._number, operation, a, b, c, d, size, wanted)
        self._requests.write(self._out, _HEAD + size)

    def _align(self):
        # Read on to the end of the answer to this, which no other answer looks like.
        self._send(ALIGN, 0, 0, 0, 0, 0, 0)
        byte, found = bytearray(1), bytearray(len(_MARK) + 1)
        while found[:-1] != _MARK or found[-1] != self._number:
            self._answers.readinto(byte)
            found[:] = found[1:] + byte


wires = _Wires()
