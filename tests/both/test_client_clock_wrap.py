"""Every deadline of the client while the clock wraps."""

from emulated_rig import Rig, raises, took
from emulation.link import Plan
from emulation.packets import PINGRESP
from umqtt_full import LinkLost, TimedOut

_WRAP = 1 << 30


# The moments at which the clock may wrap: long before, now, during a wait, during a keep-alive, after everything.
_STARTS = (0, _WRAP - 1, _WRAP - 300, _WRAP - 2500, _WRAP - 7400, _WRAP - 12_000, _WRAP // 2 - 2500, _WRAP - 100_000)


def test_time_outs_across_the_wrap():
    for start in _STARTS:
        rig = Rig(start, timeout_ms=5000)
        rig.client.connect()
        rig.t.silence()
        ms, e = took(rig, rig.client.publish, b"t", b"x", qos=1)
        assert isinstance(e, TimedOut) and 5000 <= ms <= 5100, (start, ms, e)
        rig.t.default = Plan(mute_in=0)
        ms, e = took(rig, rig.client.connect)
        assert isinstance(e, TimedOut) and 5000 <= ms <= 5100, (start, ms, e)
        rig.t.default = Plan()
        rig.client.connect()
        assert took(rig, rig.client.poll, 4000) == (4000, False)
        assert took(rig, rig.client.wait_msg, timeout_ms=3000) == (3000, None)
        rig.t.stop_reading()
        ms, e = took(rig, rig.client.publish, b"t", b"x" * 50)
        assert isinstance(e, TimedOut) and 5000 <= ms <= 6000, (start, ms, e)


def test_a_stalled_write_across_the_wrap():
    """Ten seconds in one write are seen, wherever the clock is."""
    for start in _STARTS:
        rig = Rig(start, timeout_ms=5000)
        rig.client.connect()
        usual = rig.t.write

        def stalling(buf, off, n, rig=rig, usual=usual):
            rig.t.write = usual
            rig.clock.advance(10_000)
            return n

        rig.t.write = stalling
        raises(LinkLost, rig.client.publish, b"t", b"x", qos=1)
        rig.client.connect()


def test_keep_alive_across_the_wrap():
    """[MQTT-3.1.2-23]"""
    for start in _STARTS:
        rig = Rig(start, keepalive=10)
        rig.client.connect()
        rig.pump(60_000)
        assert 6 <= rig.broker.pings <= 9, (start, rig.broker.pings)
        assert rig.broker.expired == 0
        rig.check()
        rig.broker.drop(PINGRESP)
        begin = rig.clock.now
        raises(TimedOut, rig.pump, 60_000)
        assert rig.clock.now - begin <= 22_500, (start, rig.clock.now - begin)


def test_due_ms_across_the_wrap():
    """A node that sleeps for due_ms() at a time keeps its link."""
    for start in _STARTS:
        rig = Rig(start, keepalive=10)
        rig.client.connect()
        while rig.clock.now < 200_000:
            due = rig.client.due_ms()
            assert 0 <= due <= 10_000, due
            rig.clock.advance(due)
            rig.client.poll()
        assert rig.broker.expired == 0 and 20 <= rig.broker.pings <= 60
        rig.check()
