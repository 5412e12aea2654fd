# What the package gives, for editors and type checkers. Everything but __version__ is loaded when first asked for.

from typing import TypeVar

from .client import MQTTClient as MQTTClient
from .errors import Full as Full
from .errors import LinkLost as LinkLost
from .errors import MQTTException as MQTTException
from .errors import ProtocolError as ProtocolError
from .errors import TimedOut as TimedOut
from .store import RamStore as RamStore
from .transport import Transport as Transport

_T = TypeVar("_T")

__version__: str

def const(value: _T) -> _T: ...
