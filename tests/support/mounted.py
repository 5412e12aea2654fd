"""A board's flash as MicroPython sees it: its filesystem mounted with the board's geometry, read, written to, run."""

import json
import os
import subprocess

# Mounts what is in the file flash.bin as the board's port does, and answers in JSON.
_SCRIPT = """
import binascii, hashlib, json, os, sys, vfs

offset, size, block, program = json.loads(sys.argv[1])


class Flash:
    def __init__(self):
        self.file = open("flash.bin", "r+b")

    def readblocks(self, number, buffer, at=0):
        self.file.seek(offset + number * block + at)
        self.file.readinto(buffer)

    def writeblocks(self, number, buffer, at=0):
        self.file.seek(offset + number * block + at)
        self.file.write(buffer)

    def ioctl(self, operation, number):
        if operation == 4:
            return size // block
        if operation == 5:
            return block
        if operation == 6:
            self.writeblocks(number, b"\\xff" * block)
            return 0


def walk(folder):
    for name, kind, *_ in os.ilistdir(folder):
        path = folder + "/" + name
        if kind == 0x4000:
            walk(path)
        else:
            with open(path, "rb") as file:
                found[path[7:]] = binascii.hexlify(hashlib.sha256(file.read()).digest()).decode()


flash = Flash()
if sys.argv[2] == "make":
    vfs.VfsLfs2.mkfs(flash, progsize=program)
vfs.mount(vfs.VfsLfs2(flash, progsize=program), "/flash")
found = {}
walk("/flash")

text = b"what the board writes later" * 1000
with open("/flash/later.new", "wb") as file:
    file.write(text)
os.rename("/flash/later.new", "/flash/later")
vfs.umount("/flash")
vfs.mount(vfs.VfsLfs2(flash, progsize=program), "/flash")
with open("/flash/later", "rb") as file:
    later = file.read() == text
os.remove("/flash/later")

answer = {"files": found, "writable": later}
if sys.argv[2] == "run":
    sys.path[:] = ["", "/flash/lib"]
    os.chdir("/flash")
    import config, umqtt_full

    answer["client_id"] = config.load("config.json", True).client_id
    answer["from"] = umqtt_full.__file__
    answer["client"] = umqtt_full.MQTTClient("a", "b").__class__.__name__
print(json.dumps(answer))
"""


def mount(micropython, folder, flash, place, action="read"):
    """What MicroPython, an argv prefix, finds in `flash`, bytes, where `place` (boards.Filesystem) says: a dict with
    "files", {path: SHA-256}, and "writable". action "run" imports library and configuration from there too, "make"
    makes a filesystem there first; what is there afterwards is in `folder`, in flash.bin."""
    (folder / "flash.bin").write_bytes(flash)
    (folder / "mount.py").write_text(_SCRIPT)
    finished = subprocess.run(
        [*micropython, "mount.py", json.dumps([place.offset, place.size, place.block, place.program]), action],
        cwd=folder,
        env={**os.environ, "MICROPYPATH": ".frozen"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return json.loads(finished.stdout)
