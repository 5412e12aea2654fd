# What the package gives, for editors and type checkers. Everything but __version__ is loaded when first asked for.

from typing import TypeVar

from . import client as client
from . import codec as codec
from . import errors as errors
from . import journal as journal
from . import robust as robust
from . import rtc as rtc
from . import session as session
from . import store as store
from . import stream as stream
from . import stream_in as stream_in
from . import topics as topics
from . import transport as transport
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
