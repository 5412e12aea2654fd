"""What several tests of the client share: a Rig that is connected, what its broker heard, and a link that must end."""

from emulated_rig import Rig, raises
from umqtt_full import LinkLost, ProtocolError


def connected(clean_session=True, **how):
    rig = Rig(**how)
    rig.client.connect(clean_session)
    return rig


def heard(rig, kind):
    """The packets of this kind that the broker got: (head, body) each."""
    return [one for one in rig.broker.heard if one[0] & 0xF0 == kind]


def ends_with_protocol_error(rig, words, call):
    """call() must end the link with a ProtocolError that says these words, and leave the client usable."""
    e = raises(ProtocolError, call)
    for word in words:
        assert word in str(e), str(e)
    assert rig.is_closed()
    raises(LinkLost, rig.client.poll)
    rig.client.connect()
    rig.client.publish(b"after", b"", qos=1)
    rig.check()
