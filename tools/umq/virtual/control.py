"""Commands to a virtual board that runs in another process, over a socket beside each board."""

import contextlib
import hashlib
import os
import socket
import tempfile
import threading
from pathlib import Path

from umq.errors import UserError
from umq.virtual.devices import KINDS

_PATIENCE_S = 60
_SAYINGS = (
    "access-point on|off, radio STATUS|off, reset, power-cycle, pull-cable, plug-in, temperature CELSIUS, "
    "pin PIN [0|1|off], voltage PIN VOLTS|off, pwm PIN, connect DEVICE [WIRE=PIN ...], disconnect DEVICE [WIRE ...], "
    "measure DEVICE QUANTITY NUMBER, output"
)


def tell(port, words):
    """Send the words of a command to the board at `port`, a path or a link to one; return its answer, a text. UserError
    says what is wrong with them, or that no such board is running."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE_S)
        try:
            connection.connect(str(place(port)))
            connection.sendall(" ".join(words).encode() + b"\n")
            answer = connection.makefile(encoding="utf-8", newline="\n").read()
        except (FileNotFoundError, ConnectionRefusedError):
            raise UserError(f"no virtual board is running at {port}: `umq virtual` starts one and prints its port")
        except OSError as error:
            raise UserError(f"the virtual board at {port} cannot be told: {error.strerror or error}")
    outcome, _, text = answer.partition("\n")
    if outcome != "ok":
        raise UserError(text)
    return text


class Control:
    """Lets tell() reach a VirtualBoard, to the end of its `with` block."""

    def __init__(self, board, link=None):
        self._board = board
        self._link = link
        self._places = []
        self._devices = {}

    def __enter__(self):
        self._listener = socket.socket(socket.AF_UNIX)
        file = self._add_place(self._board.port)
        self._listener.bind(str(file))
        self._listener.listen()
        if self._link:
            self._add_place(self._link).symlink_to(file)
        threading.Thread(target=self._listen, name="virtual board's control", daemon=True).start()
        return self

    def __exit__(self, *_exception):
        self._listener.close()
        for file in self._places:
            file.unlink(missing_ok=True)

    def _add_place(self, port):
        file = place(port)
        file.unlink(missing_ok=True)  # a board that was killed may have left it
        self._places.append(file)
        return file

    def _listen(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_PATIENCE_S)
                words = connection.makefile(encoding="utf-8").readline().split()
                try:
                    answer = f"ok\n{self._obey(words)}"
                except UserError as error:
                    answer = f"error\n{error}"
                connection.sendall(answer.encode())

    def _obey(self, words):
        board = self._board
        match words:
            case ["access-point", "on" | "off" as there]:
                board.access_point(there == "on")
            case ["radio", status]:
                board.radio(None if status == "off" else int(_number(status)))
            case ["reset"]:
                board.reset()
            case ["power-cycle"]:
                board.power_cycle()
            case ["pull-cable"]:
                board.pull_cable()
            case ["plug-in"]:
                port = board.plug_in()
                if place(port) not in self._places:
                    self._add_place(port).symlink_to(self._places[0])
                return port
            case ["temperature", celsius]:
                board.temperature(_number(celsius))
            case ["pin", pin]:
                level = board.pin(pin)
                return "nothing drives it" if level is None else str(level)
            case ["pin", pin, "0" | "1" | "off" as level]:
                board.set_pin(pin, None if level == "off" else level == "1")
            case ["voltage", pin, volts]:
                board.set_voltage(pin, None if volts == "off" else _number(volts))
            case ["pwm", pin]:
                found = board.pwm(pin)
                return f"{found[0]} Hz, {found[1]:.1%}" if found else "nothing"
            case ["connect", name, *wires]:
                return self._connect(name, dict(_wire(words) for words in wires))
            case ["disconnect", name, *wires]:
                board.disconnect(self._device(name), *wires)
            case ["measure", name, quantity, number]:
                self._measure(self._device(name), quantity, _number(number))
            case ["output"]:
                return board.output()
            case _:
                raise UserError(f"a virtual board does not understand {' '.join(words)!r}: tell it one of {_SAYINGS}")
        return ""

    def _connect(self, name, wires):
        # Its name, by which it can be told later: its kind's, with a number if there is one already.
        if not wires:
            self._board.connect(self._device(name))
            return name
        if name.lower() not in KINDS:
            raise UserError(f"there is no device {name!r}: choose one of {', '.join(KINDS)}")
        settings = {"address": wires.pop("address")} if "address" in wires else {}
        kind = KINDS[name.lower()]
        try:
            device = kind(**settings)
        except TypeError:
            raise UserError(f"a {kind.__name__} has no address")
        self._board.connect(device, **wires)
        names = [name.lower(), *(f"{name.lower()}-{n}" for n in range(2, 2 + len(self._devices)))]
        name = next(name for name in names if name not in self._devices)
        self._devices[name] = device
        return name

    def _device(self, name):
        if name not in self._devices:
            raise UserError(f"no {name} is connected; connected are: {', '.join(self._devices) or 'none'}")
        return self._devices[name]

    def _measure(self, device, quantity, number):
        known = [name for name in ("temperature", "humidity", "pressure") if hasattr(device, name)]
        if quantity not in known:
            raise UserError(f"it does not measure {quantity}, but {', '.join(known)}")
        setattr(device, quantity, number)


def _wire(words):
    name, _, pin = words.partition("=")
    try:
        return name, int(pin, 0)
    except ValueError:
        raise UserError(f"{words!r} is not WIRE=PIN, such as scl=5")


def _number(text):
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{text!r} is not a number")


def place(port, suffix=""):
    """The file that belongs to the board at `port`, a path. A socket's path must be short, and in a folder of the
    user's own."""
    folder = Path(tempfile.gettempdir(), f"umq-virtual-boards-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user: remove it")
    return folder / (hashlib.sha256(os.path.abspath(port).encode()).hexdigest()[:16] + suffix)
