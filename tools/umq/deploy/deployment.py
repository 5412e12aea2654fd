"""Brings a set of files onto a board, which meanwhile runs the whole old set or the whole new one, whatever happens.

1. The board computes hashes. Files that differ are written into /.umq/new, and hashed there.
2. A rename makes the file /.umq/switch: from now on the new set is the one that counts.
3. Its steps rename the new files into place and remove the files that have no successor. firmware/boot.py takes these
   steps at once, or at the board's next boot if it is cut short.

If a deployment is cut short before 2, a later one goes on with the files in /.umq/new; if it is cut short after 2, the
next boot or deployment finishes the steps. /.umq/deployed lists the files that were put onto the board, with hashes. No
other file is removed or overwritten, nor is a listed file that was changed on the board.
"""

import hashlib
from dataclasses import dataclass, field

from umq import contents
from umq.device.errors import DeviceError, Missing
from umq.errors import UserError
from umq.plain import plain
from umq.project import FIRMWARE

_SWITCH = ".umq/switch"
_NEW = ".umq/new"
_BOOT = "boot.py"
_SPARE_BLOCKS = 6  # for the folders and the filesystem's own records
_MOST_KEPT = 9
_MOST_NAMED = 4
_LARGE = 3

_COPY = """
with open(%r, "rb") as old, open(%r, "wb") as new:
    while piece := old.read(512):
        _feed()
        new.write(piece)
"""

# Every file of the board with its size. A stack of folders: recursion is dear on a board.
_SIZES = """
import os
_folders = [""]
while _folders:
    _folder = _folders.pop()
    _feed()
    for _name, _kind, *_rest in os.ilistdir(_folder or "/"):
        _path = _folder + "/" + _name
        if _kind & 0x4000:
            _folders.append(_path)
        else:
            print(_rest[1] if len(_rest) > 1 else 0, _path)
"""

_IN_ROM = """
_path = sys.path[:]
for _name in ("line", "umqtt_full"):
    sys.modules.pop(_name, None)
sys.path[:] = [place for place in _path if place == ".frozen" or place.startswith("/rom")]
try:
    import line, umqtt_full
    _found = True
except ImportError:
    _found = False
sys.path[:] = _path
"""


@dataclass
class Plan:
    """What a deployment has to do; paths are the board's, without the first slash.

    files    all files that belong on the board, {path: bytes}
    write    paths of files that are missing or differ; those that an earlier deployment left in /.umq/new are in staged
    remove   paths of files that an earlier deployment put there and this one does not
    foreign  {path: where it is kept} of files in the way that umq did not put there
    waste    names of files in /.umq/new that an earlier deployment left and this one does not need
    """

    files: dict
    write: list = field(default_factory=list)
    staged: set = field(default_factory=set)
    remove: list = field(default_factory=list)
    foreign: dict = field(default_factory=dict)
    waste: list = field(default_factory=list)

    def is_empty(self):
        return not (self.write or self.remove or self.waste)

    def upload(self):
        """The paths of the files that must go over the wire."""
        return [path for path in self.write if path not in self.staged]

    def upload_bytes(self):
        return sum(len(self.files[path]) for path in self.upload())


def plan(device, files, keep_configuration=False):
    """Finish an update that was cut short, compare the board with `files`, {path: bytes}, and return the Plan.

    keep_configuration: `files` holds no configuration, so the board keeps its own, and its app.py if `files` has none.
    """
    _room(device)
    _finish(device)
    listed = _listed(device)
    kept = {}
    if keep_configuration:
        is_app_kept = not files.keys() & contents.APPS
        kept = {
            path: known
            for path, known in listed.items()
            if (is_app_kept if path in contents.APPS else not _is_code(path))
        }
    files = contents.listed(files, kept)
    _check_nothing_hides(device, files)
    new = _names(device, _NEW)
    suspects = {*files, *listed, *filter(None, map(_twin, files))} - kept.keys()
    there = device.hashes([f"/{path}" for path in suspects] + [f"/{_NEW}/{name}" for name in new])
    found = Plan(files)
    found.write = [path for path, data in files.items() if there[f"/{path}"] != _hash(data)]
    found.remove = sorted(path for path in suspects - files.keys() if there[f"/{path}"])
    brought = {_staged(path): path for path in found.write}
    for name in new:
        path = brought.get(name)
        if path is None:
            found.waste.append(name)
        elif there[f"/{_NEW}/{name}"] == _hash(files[path]):
            found.staged.add(path)
    for path in (*found.write, *found.remove):
        known = there[f"/{path}"]
        if known in (None, listed.get(path)) or path == contents.DEPLOYED:
            continue
        if path != _BOOT or not _is_ours(device.read(f"/{path}")):
            found.foreign[path] = _place_to_keep(device, path, known)
    return found


def is_in_rom(device):
    """Are library and node in the board's firmware, or in its ROMFS?"""
    device.run(_IN_ROM)
    return device.evaluate("_found")


def check_room(device, plan):
    """UserError unless the new files fit beside those that are on the board. It names the largest files that umq did
    not put there."""
    block, free = _room(device)
    there = _sizes(device)
    sizes = [len(plan.files[path]) for path in plan.upload()] + [there.get(path, 0) for path in plan.foreign]
    needed = sum(-(-size // block) for size in sizes) + _SPARE_BLOCKS
    free += sum(-(-there.get(f"{_NEW}/{name}", 0) // block) for name in plan.waste)
    if needed <= free:
        return
    ours = {*plan.files, *plan.remove} - plan.foreign.keys()
    others = [path for path in there if path not in ours and not path.startswith(".umq/")]
    large = [path for path in sorted(others, key=lambda path: -there[path])[:_LARGE] if there[path] >= block]
    named = ", ".join(f"/{plain(path, 40)} {-(-there[path] // 1024)} KB" for path in large)
    advice = (
        f"the largest files that umq did not put there: {named}"
        if named
        else "none of its files is large: is its flash too small for this?"
    )
    raise UserError(
        f"{device.port}: the board has {free * block // 1024} KB free, but the new files need "
        f"{needed * block // 1024} KB beside the old ones: nothing was changed; {advice}"
    )


def in_the_way(plan):
    """The files that umq did not put there and that are in the way, in words: (their names, those that they get)."""

    def words(paths):
        shown = [plain(path, 60) for path in paths][:_MOST_NAMED]
        return ", ".join(shown) + (f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else "")

    return words(list(plan.foreign)), words(list(plan.foreign.values()))


def carry_out(device, plan, progress=None):
    """Do what the plan says. `progress(bytes)` is called as bytes go over."""
    device.make_folder(f"/{_NEW}")
    for name in plan.waste:
        device.remove(f"/{_NEW}/{name}")
    for path, place in plan.foreign.items():
        device.run(_COPY % (f"/{path}", f"/{place}"), timeout_s=60)
    for path in plan.upload():
        device.write(f"/{_NEW}/{_staged(path)}", plan.files[path], progress)
    arrived = device.hashes([f"/{_NEW}/{_staged(path)}" for path in plan.write])
    for path in plan.write:
        if arrived[f"/{_NEW}/{_staged(path)}"] != _hash(plan.files[path]):
            raise DeviceError(f"{device.port}: {path} did not arrive as it was sent; nothing was changed: try again")
    for folder in sorted({path.rpartition("/")[0] for path in plan.write} - {""}):
        device.make_folder(f"/{folder}")
    if _BOOT in plan.write:
        # It finishes the switch at the next boot, so it must be in place before.
        device.rename(f"/{_NEW}/{_BOOT}", f"/{_BOOT}")
    steps = [f"+{path}\n" for path in plan.write] + [f"-{path}\n" for path in plan.remove]
    device.write(f"/{_SWITCH}.new", "".join(steps).encode())
    device.rename(f"/{_SWITCH}.new", f"/{_SWITCH}")
    _finish(device)
    there = device.hashes([f"/{path}" for path in plan.files])
    for path, data in plan.files.items():
        if there[f"/{path}"] != _hash(data):
            raise DeviceError(f"{device.port}: {path} is not what it should be after the update: deploy again")


def _room(device):
    # The filesystem's bytes a block and its free blocks. UserError if there is no filesystem.
    facts = device.evaluate("__import__('os').statvfs('/')")
    if not facts[0]:
        raise UserError(f"{device.port}: the board has no filesystem: `umq flash --erase` makes one")
    return facts[0], facts[3] if facts[3] <= facts[2] else 0  # LittleFS may count below 0 when it is full


def _sizes(device):
    # {path: bytes} of every file on the board.
    lines = device.run(_SIZES, timeout_s=60).splitlines()
    return {path[1:]: int(size) for size, _, path in (line.partition(" ") for line in lines)}


def _check_nothing_hides(device, files):
    # An import looks in / before /lib, and for a folder before a file.
    modules = {path.partition(".")[0] for path in files if "/" not in path and _is_code(path)}
    for name, is_folder, _ in device.entries("/"):
        if name.partition(".")[0] == "umqtt_full" and (is_folder or _is_code(name)):
            raise UserError(
                f"{device.port}: the board's /{name} hides the library in /{contents.LIBRARY}: remove it first"
            )
        if is_folder and name in modules:
            raise UserError(
                f"{device.port}: the board's folder /{name} hides the node's module {name}: give it another name first"
            )


def _finish(device):
    device.run((FIRMWARE / "boot.py").read_text(), timeout_s=60)


def _listed(device):
    # {path: SHA-256} of the files that earlier deployments put there. A damaged list names fewer, so fewer are removed.
    try:
        lines = device.read(f"/{contents.DEPLOYED}").decode("utf-8", "replace").splitlines()
    except Missing:
        return {}
    return {path: known for known, _, path in (line.partition(" ") for line in lines) if path}


def _names(device, folder):
    try:
        return [name for name, *_ in device.entries(f"/{folder}")]
    except Missing:
        return []


def _place_to_keep(device, path, its_hash):
    places = [f"{path}.old{number or ''}" for number in range(_MOST_KEPT)]
    for place, found in device.hashes([f"/{place}" for place in places]).items():
        if found in (None, its_hash):
            return place[1:]
    raise UserError(f"{device.port}: the board keeps {_MOST_KEPT} files {path}.old... already: remove some")


def _staged(path):
    # The name under which firmware/boot.py looks for the file.
    return path.replace("/", "!")


def _twin(path):
    # The other file that the same `import` could load.
    if path.endswith(".py"):
        return path.removesuffix(".py") + ".mpy"
    return path.removesuffix(".mpy") + ".py" if path.endswith(".mpy") else None


def _is_code(path):
    return path.endswith((".py", ".mpy"))


def _is_ours(boot):
    # A boot.py of any version of umq; or one of comments alone, which a port makes with its filesystem.
    lines = (line.strip() for line in boot.splitlines())
    return _SWITCH.encode() in boot or all(not line or line.startswith(b"#") for line in lines)


def _hash(data):
    return hashlib.sha256(data).hexdigest()
