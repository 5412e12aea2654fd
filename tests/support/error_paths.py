"""The ways in which umq fails, each as a function that prepares it and returns the command line: for test_error_paths.

A case gets a Desk: what lies around on the desk of the user to whom it happens.
"""

import contextlib
import fcntl
import json
import os
import pty
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from emulation import firmware as synthetic
from emulation.rom import EmulatedRom
from lab import certificates
from lab.mosquitto import Mosquitto
from umq import boards, contents, filesystem
from umq.deploy import command as deploy
from umq.device import drives, prompt, serial_ports
from umq.device.prompt import Device
from umq.flash import by_drive, download, uf2
from umq.project import FIRMWARE
from umq.virtual import VirtualBoard

CASES = {}

_ESP32, _S3, _PICO, _PICO2 = (
    boards.load(name) for name in ("ESP32_GENERIC", "ESP32_GENERIC_S3", "RPI_PICO_W", "RPI_PICO2_W")
)


def case(what):
    """Register the function as the case that `what` describes."""

    def register(function):
        CASES[what] = function
        return function

    return register


class Desk:
    """Files, ports and drives of one case; `patch` is a pytest.MonkeyPatch, `later` an ExitStack that puts all away."""

    def __init__(self, folder, patch, later):
        self.folder, self.patch, self.later = folder, patch, later
        self.ports()
        patch.setattr(drives, "mounted", list)
        patch.setattr(drives, "unmounted", list)
        patch.setattr(download, "CACHE", folder / "build")
        patch.setattr(by_drive, "_LOOK_S", 0.01)
        for name in ("_DRIVE_S", "_LEAVE_S", "_RETURN_S"):
            patch.setattr(by_drive, name, 0.2)
        patch.setenv("ESPTOOL_CFGFILE", self.file("esptool.cfg", b"[esptool]\nconnect_attempts = 2\n"))
        patch.setattr("sys.stdin", open(os.devnull))

    def file(self, name, data):
        """The path of a file."""
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def ports(self, *paths):
        """What is plugged in: RP2 boards with MicroPython, at these paths."""
        found = [SimpleNamespace(device=p, vid=0x2E8A, pid=5, serial_number="", description="") for p in paths]
        self.patch.setattr("serial.tools.list_ports.comports", lambda: found)

    def terminal(self):
        """The path of a port without a board behind it."""
        master, slave = pty.openpty()
        self.later.callback(os.close, master)
        self.later.callback(os.close, slave)
        return os.ttyname(slave)

    def rom(self, chip, on_pty=False, **faults):
        """The port of an emulated chip in boot mode."""
        rom = self.later.enter_context(EmulatedRom(chip, on_pty=on_pty))
        for name, value in faults.items():
            setattr(rom, name, value)
        return rom.path or rom.url

    def broker(self, **options):
        """The address of a broker."""
        return f"127.0.0.1:{self.later.enter_context(Mosquitto(self.folder / 'broker', **options)).port}"

    def drive(self, board_id="RPI-RP2"):
        """The path of a drive of a chip in boot mode."""
        (self.folder / "drive").mkdir()
        (self.folder / "drive" / "INFO_UF2.TXT").write_text(f"Board-ID: {board_id}\n")
        return str(self.folder / "drive")

    def board(self, **options):
        """A virtual board."""
        return self.later.enter_context(VirtualBoard(**options))

    def image(self, board):
        """The path of firmware for a board."""
        return self.file("firmware" + board.suffix, synthetic.for_board(board))


# Words that make no sense


@case("an unknown command")
def _(desk):
    return ["flahs"]


@case("an unknown option")
def _(desk):
    return ["devices", "--sideways"]


@case("an unknown board")
def _(desk):
    return ["flash", "RPI_PICO"]


@case("a board that takes no firmware")
def _(desk):
    return ["flash", "VIRTUAL"]


# Firmware files


def _file(desk, board, data):
    return ["flash", board.name, "--firmware", desk.file("firmware" + board.suffix, data)]


@case("a firmware file that is not there")
def _(desk):
    return ["flash", "RPI_PICO_W", "--firmware", str(desk.folder / "firmware.uf2")]


@case("ESP32: a truncated file")
def _(desk):
    return _file(desk, _S3, synthetic.for_board(_S3)[:-100])


@case("ESP32: a garbled file")
def _(desk):
    data = bytearray(synthetic.for_board(_S3))
    data[0x12000] ^= 4
    return _file(desk, _S3, data)


@case("ESP32: another chip's file")
def _(desk):
    return _file(desk, _S3, synthetic.esp32("esp32c3", 0))


@case("ESP32: a program without boot loader and partition table")
def _(desk):
    return _file(desk, _S3, synthetic.for_board(_S3)[0x10000:])


@case("ESP32: a file of another kind")
def _(desk):
    return _file(desk, _S3, b"<html>404</html>".ljust(5_000))


@case("ESP32: a file that would overwrite the board's files")
def _(desk):
    return _file(desk, _S3, synthetic.for_board(_S3).ljust(0x280000, b"\xff"))


@case("ESP32: a merged image, which begins at 0x0")
def _(desk):
    return _file(desk, _ESP32, synthetic.merged(synthetic.for_board(_ESP32), _ESP32.offset))


@case("RP2: a truncated file")
def _(desk):
    return _file(desk, _PICO, synthetic.for_board(_PICO)[:-512])


@case("RP2: a garbled file")
def _(desk):
    data = bytearray(synthetic.for_board(_PICO))
    data[512 * 7] ^= 4
    return _file(desk, _PICO, data)


@case("RP2: another chip's file")
def _(desk):
    return _file(desk, _PICO, synthetic.for_board(_PICO2))


@case("RP2: a file of another kind")
def _(desk):
    return _file(desk, _PICO, synthetic.for_board(_S3))


@case("RP2: a file that would overwrite the board's files")
def _(desk):
    return _file(desk, _PICO, synthetic.rp2(_PICO.family, _PICO.filesystem.offset + 4096))


@case("RP2: firmware for a board without Wi-Fi")
def _(desk):
    return _file(desk, _PICO, synthetic.rp2(_PICO.family, machine="Raspberry Pi Pico with RP2040"))


@case("RP2: flash_nuke.uf2, which runs from memory")
def _(desk):
    return _file(desk, _PICO, uf2.build([(0x20000000, b"x" * 256)], _PICO.family))


@case("RP2: a block device as --drive")
def _(desk):
    desk.patch.setattr(Path, "is_block_device", lambda path: str(path) == "/dev/sdb1")
    return [*_file(desk, _PICO, synthetic.for_board(_PICO)), "--drive", "/dev/sdb1"]


# Downloads


@case("no network, and no firmware here")
def _(desk):
    return ["flash", "RPI_PICO_W", "--mirror", "http://127.0.0.1:1/firmware"]


@case("a download that is not what it was")
def _(desk):
    desk.patch.setattr(download, "LOCK", desk.folder / "firmware.json")
    name = "RPI_PICO_W-20250911-v1.26.1.uf2"
    desk.file(
        "firmware.json",
        b'{"address": "https://micropython.org/resources/firmware", "version": "v1.26.1", "date": "20250911",'
        b'"sha256": {"%s": "%s"}}' % (name.encode(), b"0" * 64),
    )
    (desk.folder / "build").mkdir()
    desk.file(f"build/{name}", synthetic.for_board(_PICO))
    return ["flash", "RPI_PICO_W"]


# Nodes


@case("a configuration with faults")
def _(desk):
    return ["config", "--file", str(desk.folder / "config.json"), "--name", "greenhouse", "--set", "port=many"]


def _config(desk, *words):
    return ["config", "--file", str(desk.folder / "config.json"), "--name", "attic", "--wifi", "home", *words]


@case("a server with a scheme")
def _(desk):
    return _config(desk, "--server", "mqtt://broker:1883")


@case("a server with a port")
def _(desk):
    return _config(desk, "--server", "broker:1883")


@case("a server with a blank")
def _(desk):
    return _config(desk, "--server", "broker ")


@case("a server that is no address")
def _(desk):
    return _config(desk, "--server", "1.2.3.400")


@case("a server with user and password")
def _(desk):
    return _config(desk, "--server", "me:secret@broker")


@case("a port beyond all ports")
def _(desk):
    return _config(desk, "--server", "broker", "--broker-port", "99999")


@case("a port that is no number")
def _(desk):
    return _config(desk, "--server", "broker", "--broker-port", "mqtt")


@case("a network's name that is too long")
def _(desk):
    return _config(desk, "--server", "broker", "--wifi", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")


@case("a misspelt key")
def _(desk):
    return _config(desk, "--server", "broker", "--set", "sever=b")


@case("a key without a value")
def _(desk):
    return _config(desk, "--server", "broker", "--set", "port")


@case("a name that is a topic filter")
def _(desk):
    return _config(desk, "--server", "broker", "--name", "attic/#")


@case("a name that steers the terminal")
def _(desk):
    return _config(desk, "--server", "broker", "--name", "\x1b[31mred")


@case("a configuration that is no JSON")
def _(desk):
    return ["config", "--show", "--file", desk.file("config.json", b'{"client_id": "attic",}')]


@case("a configuration in another encoding")
def _(desk):
    return ["config", "--show", "--file", desk.file("config.json", '{"client_id": "attic"}'.encode("utf-16"))]


@case("a configuration with a key twice")
def _(desk):
    return ["config", "--show", "--file", desk.file("config.json", b'{"port": 1, "port": 2}')]


@case("a project in a folder with files")
def _(desk):
    desk.file("notes.txt", b"")
    return ["new", str(desk.folder)]


@case("a project below a file")
def _(desk):
    return ["new", desk.file("notes.txt", b"") + "/greenhouse"]


@case("a configuration that is not there")
def _(desk):
    return ["image", "RPI_PICO_W", "--config", str(desk.folder / "config.json")]


@case("an image of another chip's firmware")
def _(desk):
    config = desk.file("config.json", (FIRMWARE / "config.example.json").read_bytes())
    firmware = desk.file("firmware.uf2", synthetic.for_board(_PICO2))
    return ["image", "RPI_PICO_W", "--config", config, "--firmware", firmware]


@case("an image of firmware whose filesystem lies elsewhere")
def _(desk):
    config = desk.file("config.json", (FIRMWARE / "config.example.json").read_bytes())
    rows = (*synthetic.ROWS, ("vfs", 1, 0x81, 0x300000, 0x100000))
    firmware = desk.file("firmware.bin", synthetic.esp32("esp32s3", 0, rows=rows))
    return ["image", _S3.name, "--config", config, "--firmware", firmware]


@case("an image with a certificate that is not there")
def _(desk):
    keys = {"client_id": "greenhouse", "server": "broker", "wifi_ssid": "home", "tls_ca": "ca.der"}
    return ["image", "RPI_PICO_W", "--config", desk.file("config.json", json.dumps(keys).encode())]


@case("an image for a size that no flash has")
def _(desk):
    return ["image", "ESP32_GENERIC", "--flash-mb", "3"]


@case("freezing without MicroPython's sources")
def _(desk):
    return ["freeze", "RPI_PICO_W", "--micropython", str(desk.folder)]


@case("freezing for what takes no firmware")
def _(desk):
    return ["freeze", "VIRTUAL", "--micropython", str(desk.folder)]


@case("a ROMFS in place of a folder")
def _(desk):
    return ["romfs", "--to", str(desk.folder)]


@case("a virtual board with too little heap")
def _(desk):
    return ["virtual", "--heap", "32k"]


@case("a virtual board whose heap is no size")
def _(desk):
    return ["virtual", "--heap", "much"]


@case("a virtual board that is not there")
def _(desk):
    return ["virtual", "--tell", str(desk.folder / "board"), "reset"]


@case("an image for more flash than an RP2 has")
def _(desk):
    return ["image", "RPI_PICO_W", "--flash-mb", "16"]


def _fleet(desk, rows, *words):
    return ["fleet", desk.file("nodes.csv", rows.encode()), "RPI_PICO_W", "--out", str(desk.folder / "fleet"), *words]


@case("a fleet without the names of the columns")
def _(desk):
    return _fleet(desk, "attic,a-password\n")


@case("a fleet with a cell too many")
def _(desk):
    return _fleet(desk, "client_id;server;wifi_ssid\nattic;broker;home;secret\n")


@case("a fleet with a quote too few")
def _(desk):
    return _fleet(desk, 'client_id,server,wifi_ssid\n"attic,broker,home\n')


@case("a fleet without nodes")
def _(desk):
    return _fleet(desk, "# nothing yet\nclient_id,server,wifi_ssid\n")


@case("a fleet in another encoding")
def _(desk):
    desk.file("nodes.csv", "client_id".encode("utf-16"))
    return ["fleet", str(desk.folder / "nodes.csv"), "RPI_PICO_W"]


@case("a fleet with two nodes of one name")
def _(desk):
    return _fleet(desk, "client_id,server,wifi_ssid\nattic,broker,home\nattic,broker,home\n")


@case("a fleet of which there is not such a node")
def _(desk):
    return _fleet(desk, "client_id,server,wifi_ssid\nattic,broker,home\n", "--node", "cellar")


@case("a fleet whose notes are garbled")
def _(desk):
    (desk.folder / "fleet").mkdir()
    desk.file("fleet/fleet.json", b"{")
    return _fleet(desk, "client_id,server,wifi_ssid\nattic,broker,home\n")


@case("a program that is not there")
def _(desk):
    return ["run", str(desk.folder / "hello.py")]


@case("a program that is none")
def _(desk):
    return ["run", desk.file("hello.py", b"\xff\x00")]


@case("a file in place of the folder to build into")
def _(desk):
    return ["build", "--to", desk.file("lib", b"")]


@case("an image in place of what is not a file")
def _(desk):
    os.mkfifo(desk.folder / "pipe")
    keys = {"client_id": "greenhouse", "server": "broker", "wifi_ssid": "home"}
    config = desk.file("config.json", json.dumps(keys).encode())
    return ["image", "RPI_PICO_W", "--config", config, "--to", str(desk.folder / "pipe")]


@case("a broker that is not there")
def _(desk):
    return ["monitor", "127.0.0.1:1", "--once"]


@case("a broker whose name does not resolve")
def _(desk):
    return ["monitor", "no-such-host.invalid"]


@case("a broker's address that is none")
def _(desk):
    return ["monitor", "mqtt://broker"]


@case("a broker's address that cannot be one")
def _(desk):
    return ["monitor", "1.2.3.400"]


@case("a user without a name")
def _(desk):
    return ["monitor", "127.0.0.1", "--user", ""]


@case("no broker at all")
def _(desk):
    desk.patch.setattr("umq.send.CONFIG", desk.folder / "config.json")
    return ["send", "attic", "led", "on"]


@case("a command without words")
def _(desk):
    return ["send", "attic"]


@case("a time that is none")
def _(desk):
    return ["monitor", "127.0.0.1", "--seconds", "soon"]


@case("a broker that wants another password")
def _(desk):
    desk.patch.setenv("UMQ_PASSWORD", "wrong")
    return ["monitor", desk.broker(users={"me": "right"}), "--user", "me"]


@case("a broker that wants TLS")
def _(desk):
    return ["monitor", desk.broker(tls=certificates.make(desk.folder / "certificates"))]


@case("a command for a node that does not answer")
def _(desk):
    return ["send", "attic", "led", "on", "--seconds", "0.1", "--broker", desk.broker()]


@case("a command for what cannot be a node")
def _(desk):
    return ["send", "a+", "led", "on", "--broker", desk.broker()]


@case("a command that is no line of text")
def _(desk):
    return ["send", "attic", "led\non", "--broker", "127.0.0.1"]


@case("waiting for a node that does not come")
def _(desk):
    return ["monitor", desk.broker(), "--until", "attic", "--seconds", "0.1", "--plain"]


@case("a password without a terminal to ask for it")
def _(desk):
    desk.patch.delenv("UMQ_PASSWORD", raising=False)
    return ["monitor", "127.0.0.1:1", "--user", "me"]


@case("a CA's file that is none")
def _(desk):
    return ["monitor", "127.0.0.1:1", "--ca", desk.file("ca.pem", b"no certificate")]


@case("a topic filter that is none")
def _(desk):
    return ["monitor", "127.0.0.1:1", "--topic", "nodes#"]


# Ports and chips


@case("deploying without a board")
def _(desk):
    return ["deploy"]


@case("logs of a port that is not there")
def _(desk):
    return ["logs", "--port", "/dev/ttyUSB7"]


def _at(desk, port):
    return ["flash", _S3.name, "--firmware", desk.image(_S3), "--no-stub", *(["--port", port] if port else [])]


@case("no board is plugged in")
def _(desk):
    return _at(desk, None)


@case("several boards are plugged in")
def _(desk):
    desk.ports("/dev/ttyACM0", "/dev/ttyACM1")
    return _at(desk, None)


@case("a port that is not there")
def _(desk):
    return _at(desk, "/dev/ttyUSB7")


@case("a port without the right to use it")
def _(desk):
    desk.patch.setattr(os, "access", lambda path, mode: mode != os.R_OK | os.W_OK)
    desk.patch.setattr(serial_ports, "_who_may", lambda path: "`sudo usermod -aG dialout $USER`, then log in again")
    return _at(desk, desk.terminal())


@case("a port in use")
def _(desk):
    path = desk.terminal()
    handle = os.open(path, os.O_RDWR | os.O_NOCTTY)
    desk.later.callback(os.close, handle)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return _at(desk, path)


@case("a file in place of a port")
def _(desk):
    return _at(desk, desk.file("port", b""))


@case("the wrong chip")
def _(desk):
    return _at(desk, desk.rom("esp32"))


@case("a chip that is not in its boot mode")
def _(desk):
    return _at(desk, desk.terminal())


@case("a line that loses bytes, however often it is tried")
def _(desk):
    return _at(desk, desk.rom("esp32s3", lose=set(range(50_000, 1_000_000, 20_000))))


@case("a cable pulled while esptool writes")
def _(desk):
    return _at(desk, desk.rom("esp32s3", on_pty=True, hang_up=60_000))


@case("files for another size of flash")
def _(desk):
    rom = desk.later.enter_context(EmulatedRom("esp32s3", flash_size=16 << 20))
    files = desk.file("files.bin", filesystem.make(_S3.filesystem, {"main.py": b""}))
    told = ["--firmware", files, "--with-files", "--yes", "--no-stub", "--port", rom.url]
    return ["flash", _S3.name, *told]


@case("files would be lost, and no terminal to ask")
def _(desk):
    return [*_at(desk, desk.rom("esp32s3")), "--erase"]


# Drives


def _onto(desk, *args):
    return ["flash", _PICO.name, "--firmware", desk.image(_PICO), *args]


@case("RP2: no board in boot mode")
def _(desk):
    return _onto(desk)


@case("RP2: a drive that is not mounted")
def _(desk):
    desk.patch.setattr(drives, "unmounted", lambda: ["RPI-RP2"])
    return _onto(desk)


@case("RP2: a folder that is not a drive")
def _(desk):
    return _onto(desk, "--drive", str(desk.folder))


@case("RP2: another chip's drive")
def _(desk):
    return _onto(desk, "--drive", desk.drive("RP2350"))


@case("an ESP32 has no drive")
def _(desk):
    return ["flash", _S3.name, "--firmware", desk.image(_S3), "--drive", desk.drive()]


@case("RP2: a cable pulled while the file is copied")
def _(desk):
    path = desk.drive()

    def pull(handle, data):
        shutil.rmtree(path)
        raise OSError(5, "Input/output error")

    desk.patch.setattr(by_drive.os, "write", pull)
    return _onto(desk, "--drive", path)


@case("RP2: a full drive")
def _(desk):
    def full(handle, data):
        raise OSError(28, "No space left on device")

    desk.patch.setattr(by_drive.os, "write", full)
    return _onto(desk, "--drive", desk.drive())


@case("RP2: a drive that does not hold what was written")
def _(desk):
    desk.patch.setattr(by_drive.os, "write", lambda handle, data: len(data))
    return _onto(desk, "--drive", desk.drive())


@case("RP2: a board that does not start after the copy")
def _(desk):
    path = desk.drive()
    copy = by_drive._copy

    def reset(*args):
        done = copy(*args)
        shutil.rmtree(path)
        return done

    desk.patch.setattr(by_drive, "_copy", reset)
    return _onto(desk, "--drive", path)


# Boards with MicroPython


def _deploy(desk, board):
    keys = {"client_id": "greenhouse", "server": "broker", "wifi_ssid": "home"}
    return ["deploy", "--port", board.port, "--config", desk.file("config.json", json.dumps(keys).encode())]


@case("a port behind which nothing answers")
def _(desk):
    desk.patch.setattr(prompt, "_WAITS_S", (0.1, 0.1))
    return ["repl", "--port", desk.terminal()]


@case("deploying without a configuration")
def _(desk):
    desk.patch.setattr(deploy, "CONFIG", desk.folder / "config.json")
    return ["deploy", "--port", desk.board().port]


@case("deploying onto a flash without a filesystem")
def _(desk):
    return _deploy(desk, desk.board(image=desk.file("flash", b"foreign!" * (1 << 17))))


@case("deploying onto a board without room")
def _(desk):
    return _deploy(desk, desk.board(size=48 * 1024))


@case("deploying onto a board with files in the way that umq did not put there")
def _(desk):
    board = desk.board()
    with Device(board.port) as held:
        held.write("/main.py", b"print('mine')")
    return _deploy(desk, board)


@case("deploying onto a board with the library in two places")
def _(desk):
    board = desk.board()
    with Device(board.port) as held:
        held.make_folder("/umqtt_full")
    return _deploy(desk, board)


def _deployed(desk, **keys):
    # A board whose node cannot work.
    board = desk.board(passphrase="virtual-passphrase")
    keys = {"client_id": "attic", "server": "127.0.0.1", "port": 1, "wifi_ssid": board.ssid} | keys
    keys = {"wifi_passphrase": "virtual-passphrase", "wifi_join_ms": 1000} | keys
    return ["deploy", "--port", board.port, "--config", desk.file("config.json", json.dumps(keys).encode())]


@case("a node that does not join the Wi-Fi")
def _(desk):
    return _deployed(desk, wifi_passphrase="another-passphrase")


@case("a node that the broker refuses")
def _(desk):
    port = int(desk.broker(users={"me": "right"}).rpartition(":")[2])
    return _deployed(desk, port=port)


@case("a node that does not reach the broker")
def _(desk):
    return _deployed(desk, server="no-such-host.invalid")


@case("a node whose program fails")
def _(desk):
    program = contents.program()
    desk.patch.setattr(contents, "program", lambda mpy: program | {"main.py": b"import nothing_of_that_name"})
    return _deployed(desk)


@case("a node whose certificate is none")
def _(desk):
    desk.file("ca.der", b"no certificate")
    return _deployed(desk, tls_ca="ca.der")


@case("deploying onto a board whose folder hides a module")
def _(desk):
    words = _deployed(desk)
    with Device(words[2]) as device:
        device.make_folder("/config")
    return words


@case("showing logs without a reset")
def _(desk):
    return ["deploy", "--logs", "--no-reset"]


@case("a cable pulled while deploying")
def _(desk):
    board = desk.board()
    board.pull_cable(after_bytes=20_000)
    return _deploy(desk, board)


@case("a secret as an argument")
def _(desk):
    return ["config", "--file", str(desk.folder / "config.json"), "--set", "password=swordfish"]


@case("a file of secrets that holds something else")
def _(desk):
    return ["config", "--secrets", desk.file("secrets", b"swordfish\n")]


@case("a certificate that is none")
def _(desk):
    config = str(desk.folder / "config.json")
    return ["config", "--file", config, "--name", "greenhouse", "--tls-ca", desk.file("ca.pem", b"swordfish")]


# The broker


@case("a broker at a port that is in use")
def _(desk):
    taken = desk.later.enter_context(socket.create_server(("127.0.0.1", 0)))
    return ["broker", "--port", str(taken.getsockname()[1])]


@case("a broker open to a network, without users")
def _(desk):
    return ["broker", "--host", "0.0.0.0"]


@case("a broker at an address of another computer")
def _(desk):
    return ["broker", "--host", "192.0.2.1", "--allow-anonymous"]


@case("a broker with a limit that there is not")
def _(desk):
    return ["broker", "--limit", "client=3"]


@case("a broker with a limit that is no number")
def _(desk):
    return ["broker", "--limit", "clients=many"]


@case("a broker with a limit that is too small")
def _(desk):
    return ["broker", "--limit", "clients=0"]


@case("a broker whose users are not there")
def _(desk):
    return ["broker", "--users", str(desk.folder / "users.txt")]


@case("a broker with a wrong line among its users")
def _(desk):
    return ["broker", "--users", desk.file("users.txt", b"# users\nanna:swordfish\n")]


@case("a broker with a wrong line among its rules")
def _(desk):
    return ["broker", "--rules", desk.file("rules.txt", b"publish a#\n")]


@case("a broker whose journal is another kind of file")
def _(desk):
    return ["broker", "--journal", desk.file("notes.txt", b"my notes")]


@case("a broker whose journal cannot be written")
def _(desk):
    return ["broker", "--journal", str(desk.folder / "no folder" / "journal")]


@case("a probe of a broker that is not there")
def _(desk):
    return ["probe", "127.0.0.1:1"]


@case("a broker with a certificate and no key")
def _(desk):
    return ["broker", "--cert", desk.file("server.pem", b"")]


@case("a broker with a certificate that is none")
def _(desk):
    return ["broker", "--cert", desk.file("server.pem", b"swordfish"), "--key", desk.file("server.key", b"swordfish")]


@case("a broker's user without a password")
def _(desk):
    desk.patch.delenv("UMQ_PASSWORD", raising=False)
    return ["broker", "user", "add", "anna", "--users", str(desk.folder / "users.txt")]


@case("a broker's user with a name that cannot be")
def _(desk):
    desk.patch.setenv("UMQ_PASSWORD", "swordfish")
    return ["broker", "user", "add", "a:b", "--users", str(desk.folder / "users.txt")]


@case("a broker's user that is not there")
def _(desk):
    return ["broker", "user", "remove", "bert", "--users", desk.file("users.txt", b"anna:$scrypt$\n")]


@case("a misspelt word for a broker's users")
def _(desk):
    return ["broker", "user", "ad", "anna"]


def happens(what, folder, run):
    """Prepare the case `what` in the empty `folder`, and return what run(its command line) returns."""
    with contextlib.ExitStack() as later, pytest.MonkeyPatch.context() as patch:
        return run(CASES[what](Desk(folder, patch, later)))
