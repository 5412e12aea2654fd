"""Bytes written to a transport by hand, and read from it, for the tests of the emulations."""


def write(t, data):
    return t.write(data, 0, len(data))


def read(t, size=100):
    """All that can be read now."""
    out = b""
    buf = bytearray(size)
    while True:
        n = t.readinto(buf)
        if not n:
            return out
        out += bytes(buf[:n])
