"""A board's filesystem as bytes: LittleFS as MicroPython mounts it on that board."""

from umq.errors import UserError

# MicroPython's own, on every port; the program size is the port's, and the cache is four times the larger of the two.
# It must not be larger than on the board: a file as small as the cache lies among the names, and is read into it.
_READ = 32
_CACHES = 4
_LOOKAHEAD = 32
_BLOCK_CYCLES = 100
# MicroPython >= 1.26 writes this version too; an older one could not mount it, and would format it.
_DISK_VERSION = 0x0002_0001

_FULL = -28  # LittleFS: no space left


def make(place, files):
    """A filesystem of the size of `place` (boards.Filesystem) that holds `files`, {path: bytes}: its first blocks, as
    bytes. What follows them on the flash may be anything: an older filesystem that was there too.

    The same files give the same bytes: no times are kept. UserError says by how much the files do not fit.
    """
    blocks = place.size // place.block
    roomy = 64 + sum(2 * len(content) // place.block for content in files.values())
    while not (made := _write(place, roomy, roomy, files)):  # many small files or folders
        roomy *= 2
    used, _ = made
    # LittleFS spreads its blocks over all of the flash that it knows of. So it is made as small as can be, and told the
    # true size in the end.
    for tried in range(used, blocks + 1):
        if made := _write(place, tried, blocks, files):
            return made[1]
    missing = max(used - blocks, 1) * place.block
    raise UserError(
        f"the files need {used * place.block:,} bytes and the board's filesystem has {place.size:,}: "
        f"{missing:,} bytes too few"
    )


def _write(place, blocks, grown, files):
    # The number of blocks in use and the first `blocks` as bytes; None when these are too few.
    from littlefs import LittleFS, LittleFSError, UserContext

    flash = UserContext(blocks * place.block)
    cache = _CACHES * max(_READ, place.program)
    filesystem = LittleFS(
        context=flash,
        mount=False,
        block_size=place.block,
        block_count=blocks,
        read_size=_READ,
        prog_size=place.program,
        cache_size=cache,
        lookahead_size=_LOOKAHEAD,
        block_cycles=_BLOCK_CYCLES,
        disk_version=_DISK_VERSION,
    )
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
