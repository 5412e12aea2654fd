# What errors say, loaded when there is one to tell: a board that has none keeps none of these texts in memory.

from errno import ECONNRESET, errorcode


def packet_name(head):
    """The name of a control packet by its first byte."""
    names = (
        "type 0,CONNECT,CONNACK,PUBLISH,PUBACK,PUBREC,PUBREL,PUBCOMP,"
        "SUBSCRIBE,SUBACK,UNSUBSCRIBE,UNSUBACK,PINGREQ,PINGRESP,DISCONNECT,type 15"
    )
    return names.split(",")[head >> 4]


def link_words(client, e, is_up, is_lost):
    """The words of an error that ends a link, which was up or not yet: host and port, and what to look at next.
    is_lost: it is neither a deadline nor a breach of the protocol."""
    host, port = client._target()
    words = e.args[-1] if e.args and isinstance(e.args[-1], str) else errorcode.get(e.errno, "error %s" % e.errno)
    hung_up = is_lost and e.errno in (ECONNRESET, 32)  # EPIPE, which MicroPython's errno does not name
    hint = ""
    if "TLS: " in words:
        hint = "is it TLS there? is the certificate for this host (server_hostname in ssl_params)?"
    elif is_up:
        if hung_up:
            hint = "does another client have this client_id?"
    elif "first byte 0x48" in words:  # the H of HTTP
        hint = "it is an HTTP server"
    elif "first byte 0x15" in words or (hung_up and not client.ssl):
        hint = "is it TLS there (ssl=True)?"
    elif hung_up:
        hint = "is it TLS there? does the broker want a certificate, or another client_id, user or password?"
    when = "after" if is_up else "before"
    return "%s:%d, %s CONNACK: %s%s" % (host, port, when, words, "; " + hint if hint else "")


def unfinished(messages):
    """Why a clean session is refused."""
    words = (
        "the store keeps %d unfinished messages: connect(False) goes on with them, connect(discard=True) forgets them"
    )
    return words % messages


def refusal(client, return_code):
    """What CONNACK's return code, 1 to 5, means (table 3.1)."""
    reasons = "protocol version,identifier rejected,server unavailable,bad user name or password,not authorized"
    words = "%s:%d: CONNECT refused: " % client._target() + reasons.split(",")[return_code - 1]
    if return_code == 2:
        # Some brokers refuse a keepalive that is too long for them, or 0, in this way.
        words += "; client_id %r, keepalive %d s" % (client.client_id, client._protocol.keepalive)
    return words
