"""A board's filesystem as bytes: LittleFS as MicroPython mounts it on that board."""

from littlefs import LittleFS, LittleFSError, UserContext

from umq.errors import UserError

# MicroPython's own values, the same on every port. The program size is the port's; the cache is four times the larger
# of the two. It must not be larger than on the board: LittleFS keeps a file as small as the cache among the names, and
# reads it into the cache.
_READ = 32
_CACHES = 4
_LOOKAHEAD = 32
_BLOCK_CYCLES = 100
# MicroPython >= 1.26 writes this version too; an older one could not mount it, and would format it.
_DISK_VERSION = 0x0002_0001

# Every LittleFS has these bytes at this place.
_MARK = b"littlefs"
_MARK_AT = 8

_FULL = -28  # LittleFS: no space left


def make(place, files):
    """A filesystem of the size of `place` (boards.Filesystem) that holds `files`, {path: bytes}: its first blocks, as
    bytes. The flash behind them may hold anything, such as an older filesystem.

    The same files give the same bytes: no times are kept. UserError says by how much the files do not fit.
    """
    blocks = place.size // place.block
    roomy = 64 + sum(2 * len(content) // place.block for content in files.values())
    while not (made := _write(place, roomy, roomy, files)):  # many small files or folders
        roomy *= 2
    used, _ = made
    # LittleFS spreads its blocks over all of its flash. So the filesystem is made as small as possible, and grown to
    # its true size at the end.
    for tried in range(used, blocks + 1):
        if made := _write(place, tried, blocks, files):
            return made[1]
    missing = max(used - blocks, 1) * place.block
    raise UserError(
        f"the files need {used * place.block:,} bytes and the board's filesystem has {place.size:,}: "
        f"{missing:,} bytes too few"
    )


def is_one(data):
    """True if `data` begins as a filesystem does."""
    return data[_MARK_AT : _MARK_AT + len(_MARK)] == _MARK


def size(place, data):
    """The size in bytes of a filesystem whose first part is `data`, as make() returns it; `place` is a
    boards.Filesystem of any size. UserError if a part of its files is missing."""
    flash = _Flash(buffer=bytearray(data))
    mounted = _littlefs(place, flash, 0)  # of the size that it records itself
    try:
        mounted.mount()
        for folder, _, names in mounted.walk("/"):
            for name in names:
                with mounted.open(f"{folder}/{name}", "rb") as file:
                    file.read()
    except LittleFSError:
        flash.was_left = True
    if flash.was_left:
        raise UserError("a part of its filesystem is missing or garbled")
    return mounted.block_count * place.block


class _Flash(UserContext):
    # `was_left`: LittleFS has read behind the end of the data.

    was_left = False

    def read(self, cfg, block, off, size):
        found = super().read(cfg, block, off, size)
        self.was_left |= len(found) < size
        return found.ljust(size, b"\xff")


def _write(place, blocks, grown, files):
    # The number of blocks in use and the first `blocks` as bytes; None when these are too few.
    flash = UserContext(blocks * place.block)
    filesystem = _littlefs(place, flash, blocks)
    filesystem.format()
    filesystem.mount()
    try:
        for path, content in sorted(files.items()):
            if "/" in path:
                filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            with filesystem.open(path, "wb", buffering=0) as file:
                file.write(content)
        if grown > blocks:
            filesystem.fs_grow(grown)
    except LittleFSError as error:
        if error.code != _FULL:
            raise
        return None
    used = filesystem.used_block_count
    filesystem.unmount()
    return used, bytes(flash.buffer)


def _littlefs(place, flash, blocks):
    return LittleFS(
        context=flash,
        mount=False,
        block_size=place.block,
        block_count=blocks,
        read_size=_READ,
        prog_size=place.program,
        cache_size=_CACHES * max(_READ, place.program),
        lookahead_size=_LOOKAHEAD,
        block_cycles=_BLOCK_CYCLES,
        disk_version=_DISK_VERSION,
    )
