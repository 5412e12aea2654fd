"""Writes a fleet's images to its boards, one after the other, and asks for each board in turn."""

from umq.errors import UserError

# The states of a node, in words for people and for scripts.
FLASHED, BEFORE, FAILED, NOT_YET = "flashed", "flashed before", "failed", "not yet"


def flash(nodes, ports, put, ask):
    """Write an image to the board of each of `nodes`, a list of names; {name: (FLASHED or FAILED or NOT_YET, why)}.

    ports: where boards are plugged in now; the first nodes go to these, in their order. For every further node, or for
    each if there are no ports, ask(words) is called first. It returns once the board is there; "s" skips the node, "q"
    or None (the input has ended) stops. put(name, port) writes; if it raises UserError, the next node follows.
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
