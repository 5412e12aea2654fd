# What a program may read of client.session and client.counts. The rest is between the session and its client.

class Counts:
    discarded: int
    dropped: int
    untaken: int
    skipped: int
    flaws: int
    stray_acks: int
    lowered: int
    maybe_doubled: int

class Session:
    packet_id: int
    counts: Counts
    def unfinished(self) -> int: ...
