"""The manifests of boards/, read as MicroPython's makefiles read them."""

import pytest

from umq import boards
from umq.project import BOARDS, FIRMWARE, LIB

BUILT = [name for name in boards.names() if boards.load(name).method != "none"]


class Manifest:
    """What a manifest freezes, as {name on the board: file}. Knows include, package and freeze as far as they are used
    here; what the port itself freezes is only noted, in `ports_own`."""

    def __init__(self, path):
        self.frozen = {}
        self.ports_own = []
        self._folder = None
        self.include(path)

    def include(self, path):
        if str(path).startswith("$(PORT_DIR)/"):
            self.ports_own.append(path)
            return
        above, path = self._folder, (self._folder or BOARDS) / path
        self._folder = path.parent
        exec(path.read_text(), {"include": self.include, "package": self.package, "freeze": self.freeze})
        self._folder = above

    def package(self, name, base_path):
        folder = (self._folder / base_path).resolve()
        self.frozen.update((str(file.relative_to(folder)), file) for file in (folder / name).rglob("*.py"))

    def freeze(self, path, files):
        self.frozen.update((file, (self._folder / path / file).resolve()) for file in files)


@pytest.mark.parametrize("name", BUILT)
def test_a_board_freezes_the_library_and_all_of_the_node_but_what_starts_it(name):
    manifest = Manifest(BOARDS / name / "manifest.py")
    node = {file.name: file for file in FIRMWARE.glob("*.py") if file.name not in ("main.py", "boot.py")}
    library = {f"umqtt_full/{file.name}": file for file in (LIB / "umqtt_full").glob("*.py")}
    # main.py, boot.py: MicroPython prefers a frozen one, and the user could not put another in its place.
    assert manifest.frozen == {**node, **library}
    assert len(manifest.ports_own) == 1  # without it the board would lose the mounting of its own filesystem
