# What errors say, loaded when there is one to tell: a board that has none keeps none of these texts in memory.


def packet_name(head):
    """The name of a control packet by its first byte."""
    names = (
        "type 0,CONNECT,CONNACK,PUBLISH,PUBACK,PUBREC,PUBREL,PUBCOMP,"
        "SUBSCRIBE,SUBACK,UNSUBSCRIBE,UNSUBACK,PINGREQ,PINGRESP,DISCONNECT,type 15"
    )
    return names.split(",")[head >> 4]


def unfinished(messages):
    """Why a clean session is refused."""
    words = (
        "the store keeps %d unfinished messages: connect(False) goes on with them, connect(discard=True) forgets them"
    )
    return words % messages


def refusal(return_code):
    """What CONNACK's return code, 1 to 5, means (table 3.1)."""
    reasons = "protocol version,identifier rejected,server unavailable,bad user name or password,not authorized"
    return "CONNECT refused: " + reasons.split(",")[return_code - 1]
