"""The doctor's steps on a board: MicroPython, filesystem, library, node and configuration."""

import contextlib
import hashlib

from umq import contents, settings
from umq.device.errors import CodeError, Missing
from umq.doctor.report import Doubtful, Failed
from umq.micropython import OLDEST
from umq.plain import plain
from umq.project import CONFIG

BOARD = "board"
VERSION, FILES, LIBRARY, NODE, CONFIGURATION = "MicroPython", "filesystem", "library", "node", "configuration"

_LITTLE_ROOM = 16 * 1024  # bytes: a journal and the next deploy need room
_NEW_FILESYSTEM = "`umq flash BOARD --erase` makes a new one; what was in the flash is lost"
_IMPORTED = "(lambda m: (m.__version__, getattr(m, '__file__', '')))(__import__('umqtt_full'))"
# What the board makes of its configuration file.
AS_READ = (
    "(lambda t: __import__('json').loads(t[1:] if t[:1] == '\\ufeff' else t))(open('/%s').read())" % contents.CONFIG
)
_FORGET = "for m in list(sys.modules):\n if m.split('.')[0] == 'umqtt_full': del sys.modules[m]"


def examine_contents(report, device):
    """Examine MicroPython, filesystem, library, node and configuration. -> the board's Config, or None"""
    device.make_room()
    report.step(BOARD, VERSION, lambda: _version(device))
    report.step(BOARD, FILES, lambda: _filesystem(device), [VERSION])
    is_compiled = _is_compiled(device)
    program = contents.program(is_compiled) | contents.app(CONFIG.parent, is_compiled)
    library = {path: data for path, data in program.items() if path.startswith(f"{contents.LIBRARY}/")}
    node = {path: data for path, data in program.items() if path not in library}
    report.step(BOARD, LIBRARY, lambda: _library(device, library), [FILES])
    report.step(BOARD, NODE, lambda: _node(device, node), [FILES])
    found = []
    report.step(BOARD, CONFIGURATION, lambda: _configuration(device, report, found), [FILES])
    return found[0] if found else None


def _is_compiled(device):
    # Is the library on the board compiled, or its sources?
    try:
        return device.exists(f"/{contents.LIBRARY}/__init__.mpy")
    except CodeError:  # the step FILES has told of it
        return True


def _version(device):
    name, version, machine = device.evaluate(
        "(sys.implementation.name, tuple(sys.implementation.version[:3]), "
        "getattr(sys.implementation, '_machine', sys.platform))"
    )
    found = f"{plain(name)} {'.'.join(map(str, version))} on {plain(machine)}"
    if name != "micropython":
        raise Failed(found, "umqtt_full needs MicroPython: `umq flash`")
    if tuple(version[:2]) < OLDEST:
        raise Failed(found, f"{'.'.join(map(str, OLDEST))} or later is needed: `umq flash`")
    return found


def _filesystem(device):
    try:
        block, blocks, free, kinds = device.evaluate(
            "(lambda os, vfs: os.statvfs('/')[1:4] + ([type(v[0]).__name__ for v in vfs.mount() if v[1] == '/'],))"
            "(__import__('os'), __import__('vfs'))"
        )
    except CodeError as error:
        raise Failed(f"it does not answer: {error.exception}", _NEW_FILESYSTEM)
    if not blocks:  # nothing is mounted at the root
        raise Failed("none is mounted: the flash holds none, or one of another kind", _NEW_FILESYSTEM)
    if free > blocks:  # LittleFS may count below 0 when it is full
        free = 0
    found = f"{(kinds or ['mounted'])[0]}, {block * free // 1024:,} KB free of {block * blocks // 1024:,} KB"
    if "VfsFat" in kinds:
        raise Doubtful(found, "a power cut may break FAT: format it as LittleFS (vfs.VfsLfs2.mkfs), which empties it")
    if block * free < _LITTLE_ROOM:
        raise Doubtful(found, "there is little room: remove files that are not needed, or make the journal smaller")
    return found


def _library(device, expected):
    try:
        version, file = device.evaluate(_IMPORTED)
        if not _is_in_lib(file):  # `umq repl` may have mounted it, and it is gone by now
            device.run(_FORGET)
            version, file = device.evaluate(_IMPORTED)
    except CodeError as error:
        raise Failed(f"cannot be imported: {error.exception}", "`umq deploy` puts it there")
    if not _is_in_lib(file):
        return f"umqtt_full {plain(version)}, in the firmware ({plain(file)})"
    return _compared(device, f"umqtt_full {plain(version)}", expected)


def _is_in_lib(file):
    return file.startswith(("/lib/", "lib/"))


def _node(device, expected):
    if not device.exists("/node.py") and not device.exists("/node.mpy"):
        with contextlib.suppress(CodeError):  # it may be frozen into the firmware
            version = device.evaluate("__import__('node').VERSION")
            return f"{plain(version)}, in the firmware"
    return _compared(device, f"{len(expected)} files", expected)


def _compared(device, what, expected):
    hashes = device.hashes("/" + path for path in expected)
    missing = [path for path in expected if hashes["/" + path] is None]
    differing = [
        path
        for path, data in expected.items()
        if path not in missing and hashes["/" + path] != hashlib.sha256(data).hexdigest()
    ]
    if len(missing) == len(expected):
        raise Failed("is not on the board", "`umq deploy` puts it there")
    if missing or differing:
        said = [
            f"{', '.join(paths)} {verb}" for paths, verb in ((missing, "missing"), (differing, "not as here")) if paths
        ]
        raise Doubtful(f"{what}: {'; '.join(said)}", "`umq deploy` brings it up to date")
    return f"{what}, as here"


def _configuration(device, report, found):
    has_wifi = device.evaluate("hasattr(__import__('network'), 'WLAN')")
    try:
        text = device.read("/" + contents.CONFIG)
    except Missing:
        raise Failed(f"there is no {contents.CONFIG}", "`umq config`, then `umq deploy`")
    except CodeError as error:
        raise Failed(f"cannot be read: {error.exception}", _NEW_FILESYSTEM)
    own = settings.own_keys(CONFIG.parent)
    if not own and any(device.exists(f"/{name}") for name in contents.APPS):
        own = None  # an app.py that is not here may have keys of its own
    checked = settings.check(f"{contents.CONFIG} on the board", text, has_wifi, own)
    config = checked.config
    report.hide(config.password, config.wifi_passphrase)
    if config.tls_ca and not device.exists("/" + config.tls_ca.lstrip("/")):
        raise Failed(f'"tls_ca" names {plain(config.tls_ca)}, which is not there', "`umq deploy` puts it there")
    found.append(config)
    as_read = device.evaluate(AS_READ)
    if differing := [key for key, value in checked.values.items() if as_read.get(key) != value]:
        words = f"the board reads {', '.join(differing)} as another text: MicroPython's json does so with some escapes"
        raise Doubtful(words, "`umq deploy` writes the file so that both read the same")
    return f"valid: {plain(config.client_id)} at {plain(config.server)}:{config.port}"
