# What a program may read of client.session. The rest is between the session and its client.

class Session:
    packet_id: int
    stray_acks: int
    maybe_doubled: int
    def unfinished(self) -> int: ...
