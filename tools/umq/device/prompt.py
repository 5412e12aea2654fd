"""A board held at its prompt: the one way in which umq talks to boards, over mpremote's transport.

Every error of the port, of mpremote and of the board becomes a DeviceError of one line here.
"""

import ast
import contextlib
import io
import struct
import time
from binascii import b2a_base64

from umq import micropython
from umq.device.errors import CodeError, DeviceError, Gone, Missing, of_file
from umq.device.line import LOOK_S, READ_S, close_line, follow, never_returns, open_line
from umq.errors import UserError
from umq.plain import plain

_WAITS_S = (0.5, 1, 2)  # a board that is being reset, or is leaving its broker, misses the first Ctrl-C
_CATCH_S = 12  # then Ctrl-C comes all the time: some boards sleep deeply, and are awake for a moment in each period
_KEY_S = 0.05
_LAST_WAIT_S = 4
_PIECE = 1_024  # bytes of a file in one command, which a small board must compile in its heap
_ROOM = 24 * 1_024  # bytes of heap that are enough for every command of this file
_LARGEST = 8 * 1_024  # bytes in one piece that they may need
_HASHED = 24  # files that one command hashes, for the same reason

_SILENT = (
    "the board does not answer: press its reset button and try again; one without MicroPython needs `umq flash`, one "
    "whose program sleeps all the time or takes no Ctrl-C `umq flash BOARD --erase`"
)
_GONE = "the board is gone (was the cable pulled?)"
_STOPPED = (
    "the board stopped answering: did its button or its program's watchdog reset it? Run this again: it goes on "
    "where it stopped, and feeds the watchdog"
)

# Every command may use this. _feed() feeds the watchdog, which cannot be stopped once it runs: the node's, or one that
# another program keeps where it can be found.
_PRELUDE = """
import gc, sys
_dogs, _names, _found = [], None, None
for _names in [globals()] + [getattr(_module, "__dict__", {}) for _module in sys.modules.values()]:
    for _found in _names.values():
        if type(_found).__name__ == "WDT":
            _dogs.append(_found)
def _feed():
    for dog in _dogs:
        dog.feed()
    getattr(sys.modules.get("board"), "feed", gc.collect)()
_feed()
gc.collect()
"""

# If the program has lost its watchdog, or hides it, that runs on. Any period that all chips allow will do.
_FEED_ANEW = """
import machine
class _Watchdog:
    feed = machine.WDT(timeout=8000).feed
sys.modules["board"] = _Watchdog
"""

_WAS_BITTEN = "(lambda m: m.reset_cause() == getattr(m, 'WDT_RESET', None))(__import__('machine'))"

_HASHES = """
import binascii, hashlib
_buffer = memoryview(bytearray(512))
def _hash(path):
    _feed()
    try:
        with open(path, "rb") as file:
            found = hashlib.sha256()
            while size := file.readinto(_buffer):
                found.update(_buffer[:size])
    except OSError as error:
        if error.errno != 2:  # ENOENT
            raise OSError(error.errno, path)
        return None
    return binascii.hexlify(found.digest()).decode()
"""


class Device:
    """The board at `port`, held at its prompt: `with Device(port) as device`.

    The program on it is interrupted. The board is not reset: its variables and modules stay as they were. Afterwards it
    stays at its prompt, unless reset() was called.

    waits: if it does not answer, wait for a moment in which it does, for boards that sleep most of the time.
    """

    def __init__(self, port, waits=True):
        self.port = str(port)
        self._waits = waits
        self._transport = None

    def __enter__(self):
        self._transport = open_line(self.port)
        try:
            self._interrupt()
            try:
                self._run(_PRELUDE, READ_S)
            except CodeError:  # there is not even memory for that
                self._forget()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_):
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._transport.exit_raw_repl()
        self._close()

    def run(self, code, timeout_s=20):
        """Run the text `code` on the board; return what it printed, as text.

        timeout_s: how long it may be silent. DeviceError if it raised (CodeError) or did not end. Code that takes more
        than a second or two must call _feed() at times, for the node's watchdog. `gc` and `sys` are imported already.
        """
        # A heap that is broken up by the interrupted program may have no piece for the next command's text before it is
        # collected from outside of the compiler.
        return self._run(f"_feed()\ngc.collect()\n{code}", timeout_s)

    def _run(self, code, timeout_s):
        with self._errors(_STOPPED):
            said, raised = self._transport.exec_raw(code.encode(), timeout=timeout_s)
        if raised:
            raise CodeError(self.port, raised.decode("utf-8", "replace").strip().splitlines()[-1])
        return said.decode("utf-8", "replace").replace("\r\n", "\n")

    def evaluate(self, expression):
        """The value of `expression`, which must have a Python literal: number, text, bytes, tuple, list, dict."""
        said = self.run(f"print(repr({expression}))").strip()
        try:
            return ast.literal_eval(said)
        except (ValueError, SyntaxError):
            raise DeviceError(f"{self.port}: the board answered {said[-80:]!r} to {expression}")

    def check_version(self):
        """UserError unless the board runs a MicroPython that the library can be used with."""
        name, version = self.evaluate("(sys.implementation.name, tuple(sys.implementation.version[:2]))")
        if name != "micropython" or version < micropython.OLDEST:
            has = f"{plain(name, 20)} {'.'.join(map(str, version))}"
            needs = ".".join(map(str, micropython.OLDEST))
            raise UserError(
                f"{self.port}: the board runs {has}, and the library needs MicroPython {needs} or newer: nothing was "
                "changed; `umq flash` brings it"
            )

    def has_watchdog(self):
        """Has the node, or another program, started a watchdog? It runs on, and resets the board unless it is fed."""
        # With a watchdog `feed` is its bound method; without one it is a plain function (firmware/board.py).
        return self.evaluate("bool(_dogs) or 'bound' in str(getattr(sys.modules.get('board'), 'feed', None))")

    def despite_watchdog(self, work):
        """What work() returns. If a watchdog that the program hides resets the board meanwhile, do it once more, and
        feed that watchdog. Only for a caller that resets the board at its end."""
        self._tame_watchdog()
        try:
            return work()
        except (CodeError, Gone):
            raise
        except DeviceError:
            try:
                self._interrupt()
                self._run(_PRELUDE, READ_S)
                is_tamed = self._tame_watchdog()
            except DeviceError:
                is_tamed = False
            if not is_tamed:
                raise
        return work()

    def _tame_watchdog(self):
        # If a watchdog has reset the board, and none is found, feed it from here on. Is it so?
        is_hidden = not self.has_watchdog() and self.evaluate(_WAS_BITTEN)
        if is_hidden:
            self.run(_FEED_ANEW)
        return is_hidden

    def make_room(self):
        """If the interrupted program has left little of the heap, or only small pieces, free it with a soft reset."""
        try:
            is_needed = (
                int(self.run(f"gc.collect()\nbytearray({_LARGEST})\ngc.collect()\nprint(gc.mem_free())")) < _ROOM
            )
            has_watchdog = self.has_watchdog()
        except CodeError:
            is_needed, has_watchdog = True, True
        if is_needed:
            self._forget(has_watchdog)

    def _forget(self, has_watchdog=True):
        # If that is not known, assume a watchdog: the node starts one unless its configuration says otherwise.
        with self._errors(_STOPPED), contextlib.redirect_stdout(io.StringIO()):
            self._transport.enter_raw_repl(soft_reset=True)
        self._run(_PRELUDE + (_FEED_ANEW if has_watchdog else ""), READ_S)

    # Files. Paths are the board's, from its root.

    def read(self, path):
        """The bytes of a file."""
        code = (
            "import binascii\nwith open(%r, 'rb') as f:\n while b := f.read(384): print(binascii.hexlify(b).decode())"
        )
        with self._naming(path):
            return bytes.fromhex(self.run(code % path))

    def write(self, path, data, progress=None):
        """Make or overwrite a file with the bytes `data`; `progress(bytes)` is called as they go over. It is not
        atomic: cut short, it leaves a part."""
        with self._naming(path):
            opened = f"import binascii\n_file = open({path!r}, 'wb')\n_text = binascii.a2b_base64\n"
            try:
                for at in range(0, max(len(data), 1), _PIECE):
                    piece = data[at : at + _PIECE]
                    closed = "\n_file.close()" if at + _PIECE >= len(data) else ""
                    self.run(f"{opened}_file.write({_as_code(piece)}){closed}")
                    opened = ""
                    if progress:
                        progress(len(piece))
            except CodeError:
                with contextlib.suppress(DeviceError):  # the first error is the one to tell
                    self.run("_file.close()")
                raise

    def entries(self, path="/"):
        """What is in a folder: a list of (name, is_folder, size in bytes)."""
        with self._naming(path):
            found = self.evaluate(f"list(__import__('os').ilistdir({path!r}))")
        return [(entry[0], bool(entry[1] & 0x4000), entry[3] if len(entry) > 3 else 0) for entry in found]

    def exists(self, path):
        """True if there is a file or folder of that path."""
        try:
            with self._naming(path):
                self.run(f"__import__('os').stat({path!r})")
        except Missing:
            return False
        return True

    def remove(self, path):
        """Remove a file, or an empty folder."""
        with self._naming(path):
            self.run(f"import os\n(os.rmdir if os.stat({path!r})[0] & 0x4000 else os.remove)({path!r})")

    def rename(self, path, new_path):
        """Rename a file; one that had the new name is replaced."""
        with self._naming(path):
            self.run(f"__import__('os').rename({path!r}, {new_path!r})")

    def make_folder(self, path):
        """Make a folder and those above it. Folders that exist stay as they are."""
        parts = path.strip("/").split("/")
        folders = ["/" + "/".join(parts[: depth + 1]) for depth in range(len(parts))]
        code = (
            "import os\nfor _folder in %r:\n try: os.stat(_folder)\n"
            " except OSError as error:\n  if error.errno != 2: raise\n  os.mkdir(_folder)"
        )
        with self._naming(path):
            self.run(code % (folders,))

    def hashes(self, paths):
        """{path: its SHA-256 in hexadecimal, or None where there is no such file}, computed on the board."""
        paths = list(paths)
        said = self.run(_HASHES).split()
        for at in range(0, len(paths), _HASHED):
            code = f"for _path in {paths[at : at + _HASHED]!r}: print(_hash(_path))"
            with self._naming():
                said += self.run(code, timeout_s=60).split()
        return {path: None if found == "None" else found for path, found in zip(paths, said, strict=True)}

    # Resets

    def reset(self):
        """Reset the board as its button does, also after an error. After that only lines() may be called."""
        self._interrupt()
        with self._errors(_STOPPED):
            self._transport.exec_raw_no_follow(b"import machine\nmachine.reset()")

    def to_boot_mode(self):
        """Leave MicroPython for the chip's boot mode, in which it takes firmware. No method may be called
        afterwards."""
        with self._errors(_STOPPED):
            self._transport.exec_raw_no_follow(b"import machine\nmachine.bootloader()")

    def lines(self, timeout_s=None, pauses=False):
        """After reset(): what the board prints, line by line, for `timeout_s` seconds or, with None, for ever.
        pauses: yield None, too, whenever nothing has come for a moment.

        The port of a chip with USB of its own goes away during a reset: it is waited for.
        """
        transport, self._transport = self._transport, None
        yield from follow(self.port, transport, timeout_s, pauses=pauses)

    def _interrupt(self):
        trouble = None
        for wait_s in _WAITS_S:
            try:
                return self._enter(wait_s, trouble is not None)
            except DeviceError as error:
                trouble = error
                if isinstance(error, Gone):
                    break
        if trouble and not self._waits:
            raise trouble
        self._catch(trouble)
        return self._enter(_LAST_WAIT_S, True)

    def _enter(self, wait_s, was_silent):
        # To the raw prompt; DeviceError if that takes longer than `wait_s`.
        serial = self._transport.serial
        # mpremote prints bytes that it did not expect.
        with self._errors(_SILENT), contextlib.redirect_stdout(io.StringIO()):
            serial.timeout = LOOK_S
            self._transport.enter_raw_repl(soft_reset=False, timeout_overall=wait_s)
            if was_silent:
                # The board now answers the earlier attempts too.
                while serial.read(1):
                    pass
                self._transport.enter_raw_repl(soft_reset=False, timeout_overall=wait_s)
            serial.timeout = READ_S

    def _catch(self, trouble):
        # Ctrl-C again and again, until a prompt comes. If its USB is the chip's own, its port is away while it sleeps.
        said = b""
        deadline = time.monotonic() + _CATCH_S
        while b">>> " not in said and time.monotonic() < deadline:
            try:
                if self._transport is None:
                    self._transport = open_line(self.port)
                serial = self._transport.serial
                serial.timeout = _KEY_S
                serial.write(b"\r\x03")
                said = said[-8:] + serial.read(1)
                said += serial.read(serial.in_waiting)
            except (OSError, DeviceError):
                self._close()
                if never_returns(self.port):
                    break
                time.sleep(_KEY_S)
        if self._transport is None:
            raise trouble if isinstance(trouble, Gone) else Gone(f"{self.port}: {_GONE}")

    @contextlib.contextmanager
    def _errors(self, what):
        # Turns every error that mpremote and pyserial may raise into a DeviceError.
        from mpremote.transport import TransportError

        if self._transport is None:
            raise DeviceError(f"{self.port}: the board was reset, or left alone")
        try:
            yield
        except (TransportError, struct.error, IndexError):
            raise DeviceError(f"{self.port}: {what}")
        except OSError:  # pyserial's errors are among them
            raise Gone(f"{self.port}: {_GONE}")

    @contextlib.contextmanager
    def _naming(self, path=None):
        # An OSError on the board, in words and with the path; None if the board names it.
        try:
            yield
        except CodeError as error:
            raise of_file(self.port, path, error)

    def _close(self):
        if self._transport is not None:
            transport, self._transport = self._transport, None
            close_line(transport)


def _as_code(piece):
    # The shorter of the two: source text is short as it stands, bytecode in base64.
    return min(repr(piece), f"_text({b2a_base64(piece, newline=False)!r})", key=len)
