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

    def decimal(self, n, digits):
        """Add a number whose last `digits` digits are decimals: 214 with 1 is written 21.4."""
        if n < 0:
            self.data.append(45)  # -
            n = -n
        scale = 1
        for _ in range(digits):
            scale *= 10
        self.number(n // scale)
        if digits:
            self.data.append(46)  # .
        while scale > 1:
            scale //= 10
            self.data.append(48 + n // scale % 10)

    def thousandths(self, n):
        """Add a number given in thousandths, with no more decimals than it needs: 21430 is written 21.43."""
        digits = 3
        while digits and n % 10 == 0:
            n //= 10
            digits -= 1
        self.decimal(n, digits)
