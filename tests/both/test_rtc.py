"""The journal in an ESP32's RTC memory, which here is a stand-in: bytes that outlive the object."""

import sys

from emulated_rig import Rig, raises


class RTC:
    """machine.RTC as ESP32's has it; of its clock nothing is here."""

    kept = b""

    def memory(self, data=None):
        if data is None:
            return RTC.kept
        assert len(data) <= 2048
        RTC.kept = bytes(data)


class machine:
    RTC = RTC


class _WithoutRTC:
    pass


def with_machine(module, function):
    before = sys.modules.get("machine")
    sys.modules["machine"] = module
    try:
        return function()
    finally:
        if before is None:
            del sys.modules["machine"]
        else:
            sys.modules["machine"] = before


def journal(**options):
    from umqtt_full.rtc import RtcJournal

    return with_machine(machine, lambda: RtcJournal(**options))


def test_messages_survive_deep_sleep():
    RTC.kept = b""
    store = journal()
    assert store.report == ""
    rig = Rig(store=store, link={"record": False})
    rig.client.publish(b"out", b"one", qos=1, wait=False)
    rig.client.publish(b"out", b"two", qos=2, wait=False)
    again = journal()
    assert again.report == ""
    rig = Rig(store=again, link={"record": False})
    rig.client.connect(False)
    rig.client.flush()
    assert [one[1] for one in rig.broker.taken] == [b"one", b"two"]
    for i in range(200):  # compactions, back and forth
        rig.client.publish(b"out", b"%d" % i * 20, qos=1 + i % 2)
    rig.check()
    rig.client.close()
    rig.client.publish(b"out", b"last", qos=2, wait=False)
    again = journal()
    assert again.report == "" and len(again.publishes) == 1


def test_it_holds_what_it_promises():
    RTC.kept = b""
    store = journal(slots=5, size=130, received=1)
    rig = Rig(store=store, link={"record": False})
    for round in range(30):
        for i in range(5):
            rig.client.publish(b"o", bytes([65 + i]) * 120, qos=2, wait=False)
        if not round:
            rig.client.connect(False)
        rig.client.flush()
    rig.check()


def test_what_else_lay_there_is_reported():
    RTC.kept = b"a counter: 17"
    store = journal()
    assert "something else" in store.report
    assert journal().report == ""


def test_more_than_fits_is_refused():
    assert "1000" in str(raises(ValueError, journal, slots=8, size=200))


def test_elsewhere_it_says_what_to_do():
    from umqtt_full.rtc import RtcJournal

    assert "Journal" in str(raises(RuntimeError, with_machine, _WithoutRTC, RtcJournal))
