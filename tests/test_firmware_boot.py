"""boot.py ends an update that was cut short: on LittleFS, with the power going at every single flash operation."""

import subprocess

from umq.project import FIRMWARE

BOOT = FIRMWARE / "boot.py"

SCRIPT = """
import os, sys, vfs

class PowerCut(Exception):
    pass

class Flash:
    # A flash that loses its power at its `left`-th operation, in the middle of it.
    def __init__(self, content, left=-1):
        self.content, self.left, self.operations = bytearray(content), left, 0
    def cut(self):
        self.operations += 1
        return self.operations > self.left >= 0
    def readblocks(self, block, buf, off=0):
        at = block * 4096 + off
        buf[:] = self.content[at : at + len(buf)]
    def writeblocks(self, block, buf, off=0):
        at = block * 4096 + off
        if self.cut():
            if self.operations == self.left + 1:
                self.content[at : at + len(buf) // 2] = buf[: len(buf) // 2]
            raise PowerCut
        self.content[at : at + len(buf)] = buf
    def ioctl(self, op, arg):
        if op == 4:
            return len(self.content) // 4096
        if op == 5:
            return 4096
        if op == 6:
            if self.cut():
                raise PowerCut
            self.content[arg * 4096 : (arg + 1) * 4096] = b"\\xff" * 4096
            return 0

with open(sys.argv[1]) as file:
    boot = file.read()
files = os.listdir
write = lambda path, text: [(f.write(text), f.close()) for f in (open(path, "w"),)]

def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None

mounted = False
def mount(flash):
    global mounted
    vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(flash, progsize=256, readsize=32), "/")

def run_boot():
    exec(boot, {})

PATHS = "/main.py /lib/a.mpy /lib/a.py /lib/b.py /mine".split()
NEW = dict(zip(PATHS, ("new main" * 200, "new a" * 300, None, "new b", "mine")))
OLD = dict(zip(PATHS, ("old main", None, "old a" * 300, "old b" * 9, "mine")))

flash = Flash(b"\\xff" * 32 * 4096)
vfs.VfsLfs2.mkfs(flash, progsize=256, readsize=32)
mount(flash)
os.mkdir("/lib"), os.mkdir("/.umq"), os.mkdir("/.umq/new")
for path, text in OLD.items():
    if text:
        write(path, text)
run_boot()
assert {path: read(path) for path in OLD} == OLD, "nothing to do"
for path in ("/main.py", "/lib/a.mpy", "/lib/b.py"):
    write("/.umq/new/" + path[1:].replace("/", "!"), NEW[path])
run_boot()
assert {path: read(path) for path in OLD} == OLD, "not committed"
write("/.umq/switch", "+main.py\\n+lib/a.mpy\\n+lib/b.py\\n-lib/a.py\\n-lib/gone.py\\n")
begun = bytes(flash.content)

cuts = 0
while True:
    flash = Flash(begun, cuts)
    mount(flash)
    try:
        run_boot()
        whole = True
    except (PowerCut, OSError):
        whole = False
    again = Flash(flash.content)
    mount(again)
    run_boot()
    assert {path: read(path) for path in NEW} == NEW, cuts
    assert read("/.umq/switch") is None and os.listdir("/.umq/new") == []
    run_boot()
    if whole:
        break
    cuts += 1
print(cuts)
"""


def test_whenever_the_power_goes_the_next_boot_ends_the_update(micropython, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [*micropython, str(tmp_path / "script.py"), str(BOOT)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    print(f"{done.stdout.strip()} cuts")
    assert int(done.stdout) > 5


def test_a_switch_that_cannot_be_opened_is_told_and_one_that_is_not_there_is_not(micropython, tmp_path):
    script = """
import builtins, sys
def fails(path):
    raise OSError(int(sys.argv[2]))
boot = open(sys.argv[1]).read()
builtins.open = fails
exec(boot, {})
"""
    (tmp_path / "script.py").write_text(script)
    for errno, said in (
        ("2", ""),
        ("5", "boot: /.umq/switch cannot be opened (error 5): this may be half an update\n"),
    ):
        done = subprocess.run(
            [*micropython, str(tmp_path / "script.py"), str(BOOT), errno], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
