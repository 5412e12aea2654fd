"""A fleet's images onto its boards, one after the other: who is asked for what, what is done, what failed."""

from umq.errors import UserError

# What becomes of a node; the words are for people and for scripts.
FLASHED, BEFORE, FAILED, NOT_YET = "flashed", "flashed before", "failed", "not yet"


def flash(nodes, ports, put, ask):
    """Write an image to the board of each of `nodes`, a list of names; {name: (FLASHED or FAILED or NOT_YET, why)}.

    ports: where boards are plugged in now; the first nodes are for these, in their order. For every further one, and
    without ports for each, ask(words) is called first: it returns once the board is there, "s" to pass the node over,
    "q" to stop, None when nobody answers. put(name, port) writes, and raises UserError when that fails; then it goes on
    with the next.
    """
    outcome: dict[str, tuple[str, str]] = dict.fromkeys(nodes, (NOT_YET, ""))
    for number, name in enumerate(nodes):
        port = ports[number % len(ports)] if ports else None
        if number >= len(ports):
            where = f" at {port}" if port else ""
            answer = ask(
                f"{number + 1} of {len(nodes)}: plug in the board for {name}{where}, then Enter (s skips, q stops): "
            )
            if answer in ("q", None):
                break
            if answer == "s":
                continue
        try:
            put(name, port)
            outcome[name] = FLASHED, ""
        except UserError as error:
            outcome[name] = FAILED, str(error)
    return outcome
