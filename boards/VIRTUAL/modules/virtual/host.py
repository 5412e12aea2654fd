# The other side: the process on the computer that this board lives in.
#
# It gave us a folder. boot.json says how we were started; in the others lies what outlives us, or changes while we run.
# What we have to say goes as lines into a pipe.

import json


class _Host:
    def open(self, folder):
        """Read what the host says; nothing else here may be used before."""
        self._folder = folder
        with open(folder + "/boot.json") as file:
            self.says = json.load(file)
        self._pipe = open(self.says["pipe"], "wb")
        self._air = self.file("air")
        self._air_bytes = bytearray(6)
        self._radio = self.file("radio")

    def file(self, name):
        """A file of the host's, for reading and writing in place."""
        return open(self._folder + "/" + name, "r+b")

    def tell(self, *words):
        self._pipe.write(" ".join(str(word) for word in words).encode() + b"\n")

    def air(self):
        """What is in the air now: [is there an access point, how often it has come, temperature in tenths as two
        bytes, status of the radio as two bytes]. Always the same bytearray."""
        self._air.seek(0)
        self._air.readinto(self._air_bytes)
        return self._air_bytes

    def radio_error(self):
        """The words of the error that the radio has now, as of a traceback; "" for none."""
        self._radio.seek(0)
        return self._radio.read().rstrip(b"\0").decode()

    # These cost no heap, which may be locked.

    def feed(self):
        self._pipe.write(b"feed\n")

    def interrupted(self):
        self._pipe.write(b"interrupted\n")

    def end_torn(self):
        """Something within MicroPython is broken. The host starts it again."""
        self._pipe.write(b"torn\n")
        while True:
            pass

    def end(self, *words):
        """Tell how we end, and wait for it: the host ends us, as abruptly as a reset does."""
        self.tell(*words)
        import select

        while True:
            select.poll().poll(1000)


host = _Host()
