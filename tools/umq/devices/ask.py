"""Asks the board at a port what it is: MicroPython tells its board, a boot loader its chip."""

from dataclasses import dataclass

from umq import boards
from umq.device.errors import DeviceError
from umq.device.prompt import Device
from umq.errors import UserError
from umq.flash import by_esptool


@dataclass(frozen=True)
class Answer:
    """What the board answered: `what` it is, in words; the names of the `boards` it could be; is it in boot mode?"""

    what: str
    boards: list
    boot_mode: bool


def ask(port):
    """The Answer of the board at `port`, an umq.device.serial_ports.Port, or None if nothing answers.

    The program on the board is interrupted. If MicroPython does not answer, the chip is reset into its boot mode.
    """
    if port.boot_mode is not True:
        try:
            with Device(port.path, waits=False) as device:
                platform, machine, version = device.evaluate(
                    "(sys.platform, getattr(sys.implementation, '_machine', ''), sys.version.split('; ')[-1])"
                )
            return Answer(f"{machine}, {version}", running(platform, machine), False)
        except DeviceError:
            pass
    if port.port == "rp2":
        return None
    try:
        mcu = by_esptool.identify(port.path)
    except UserError:
        return None
    return Answer(mcu, [board.name for board in boards.all_boards() if board.mcu == mcu], True)


def running(platform, machine):
    """The names of the boards that sys.platform and sys.implementation._machine can be those of."""
    name, _, chip = machine.rpartition(" with ")
    found = [board for board in boards.all_boards() if board.port == platform]
    # An ESP32 board is known by its chip, whatever its module is called. RP2 boards with one chip differ: some have no
    # Wi-Fi.
    if platform == "esp32":
        return [board.name for board in found if board.mcu == chip.lower().replace("-", "")]
    if platform == "rp2":
        return [board.name for board in found if name == f"{board.vendor} {board.product}"]
    return [board.name for board in found]
