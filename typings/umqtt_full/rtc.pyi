from .journal import Journal, _Durable

class RtcJournal(Journal):
    def __init__(self, slots: int = 4, size: int = 160, received: int = 1, durable: _Durable = "message") -> None: ...
