"""How the node starts with a journal on a filesystem that is damaged or full: MicroPython's own LittleFS, in memory."""

import pytest

import node_script

# Skipped where there is no MicroPython; in CI that is a failure.
pytestmark = pytest.mark.usefixtures("micropython")

SCRIPT = """
import os, sys, vfs
class Blocks:
    data = bytearray(32 * 512)
    def readblocks(self, n, buf, off=0):
        at = n * 512 + off
        buf[:] = self.data[at : at + len(buf)]
    def writeblocks(self, n, buf, off=0):
        at = n * 512 + off
        self.data[at : at + len(buf)] = buf
    def ioctl(self, what, n):
        return 32 if what == 4 else 512 if what == 5 else 0
vfs.VfsLfs2.mkfs(Blocks())
vfs.mount(vfs.VfsLfs2(Blocks()), "/flash")
def fill():
    for size in (512, 1):
        for i in range(2000):
            try:
                with open("/flash/log-%d-%d" % (size, i), "wb") as file:
                    file.write(bytes(size))
            except OSError:
                break
import assembly, config
"""


@pytest.fixture
def play(tmp_path):
    """play(script) runs it after the one above; its output as lines."""

    return lambda script: node_script.run(tmp_path, SCRIPT + script)


def test_a_full_flash_does_not_stop_the_node(play):
    """It says so, and keeps its messages in memory."""
    said, store = play("fill()\nprint(type(assembly._store('/flash/journal', 768)).__name__)\n")
    assert said.startswith("journal: /flash/journal, which cannot be opened (error ") and store == "RamStore"


def test_a_flash_that_got_full_does_not_lose_what_the_journal_has(play):
    """Torn and without room for a repair: what was kept is there, and the rest goes on when there is room again."""
    said, kept, goes_on = play("""
journal = assembly._store("/flash/journal", 768)
session = journal.Session(journal, 8, 8)
for i in range(3):
    session.promise(b"t", b"kept" * 170, False, 1)
with open("/flash/journal.%d" % journal._which, "ab") as file:
    file.write(b"torn")
fill()
journal = assembly._store("/flash/journal", 768)
print(len(journal.publishes))
for name in os.listdir("/flash"):
    if name.startswith("log"):
        os.remove("/flash/" + name)
session = journal.Session(journal, 8, 8)
session.promise(b"t", b"another", False, 1)
journal.free(journal.publishes, 0)
journal.close()
print(len(assembly._store("/flash/journal", 768).publishes))
""")
    assert said.startswith("journal: ") and "not yet repaired" in said
    assert kept == goes_on == "3"


def test_a_wrong_path_is_a_mistake_in_the_configuration(play):
    script = """
os.mkdir("/flash/folder.0")
for path in ("/flash/missing/journal", "/flash/folder"):
    try:
        assembly._store(path, 768)
    except ValueError as error:
        print(error)
"""
    missing, folder = play(script)
    assert missing.startswith('"journal" names /flash/missing/journal, which cannot be opened')
    assert folder.startswith('"journal" names /flash/folder, which cannot be opened')


def test_a_foreign_file_is_kept_aside(play):
    script = """
with open("/flash/journal.0", "wb") as file:
    file.write(b"not ours")
assembly._store("/flash/journal", 768)
print(open("/flash/journal.0.bad").read())
"""
    said, content = play(script)
    assert "journal.0.bad" in said and content == "not ours"
