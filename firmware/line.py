"""A line of bytes built in place: what a node says again and again is put together without allocating."""


class Line:
    """A buffer of `size` bytes that is filled piece by piece; `data` is always exactly what was put in."""

    def __init__(self, size):
        self.data = bytearray(size)
        self.data[:] = b""  # MicroPython keeps the memory, and what is added within it costs none

    def clear(self):
        self.data[:] = b""

    def text(self, piece):
        """Add bytes."""
        self.data.extend(piece)

    def number(self, n):
        """Add a whole number in decimal."""
        if n < 0:
            self.data.append(45)  # -
            n = -n
        place = 1
        while n // place > 9:
            place *= 10
        while place:
            self.data.append(48 + n // place % 10)
            place //= 10

    def tenths(self, n):
        """Add a number given in tenths: 214 is written 21.4."""
        if n < 0:
            self.data.append(45)  # -
            n = -n
        self.number(n // 10)
        self.data.append(46)  # .
        self.number(n % 10)
