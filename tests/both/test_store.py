"""The store's contract with a session, which memory and the journal keep alike."""

from emulated_rig import raises
from emulation.files import Files
from emulation.packets import publish_packet
from umqtt_full import Full, RamStore


def stores(slots=3, size=60):
    return RamStore(slots, size), Files().journal(slots=slots, size=size)


def bytes_of(store, slot):
    return bytes(store.packet(slot)[: store.lengths[slot]])


def put(store, *messages):
    """Put a PUBLISH for each (packet id, qos, payload)."""
    for packet_id, qos, payload in messages:
        store.put(packet_id, 0x30 | qos << 1, b"t", payload)


def test_what_is_put_is_what_goes_out():
    for store in stores():
        put(store, (7, 1, b"one"), (300, 2, b""))
        assert [store.packet_ids[slot] for slot in store.publishes] == [7, 300]
        first, second = store.publishes
        assert bytes_of(store, first) == publish_packet(b"t", b"one", 1, packet_id=7)
        assert bytes_of(store, second) == publish_packet(b"t", b"", 2, packet_id=300)


def test_dup_is_set_once_a_byte_was_tried():
    """[MQTT-3.3.1-1]"""
    for store in stores():
        put(store, (1, 1, b"x"), (2, 1, b"y"))
        store.tried(store.publishes[0])
        assert [bytes_of(store, slot)[0] for slot in store.publishes] == [0x3A, 0x32]


def test_released_ones_keep_their_order():
    """[MQTT-4.6.0-4]"""
    for store in stores():
        put(store, (1, 2, b"a"), (2, 2, b"b"), (3, 1, b"c"))
        store.release(1)
        store.release(0)
        assert [store.packet_ids[slot] for slot in store.pubrels] == [2, 1]
        assert [store.packet_ids[slot] for slot in store.publishes] == [3]
        store.free(store.pubrels, 0)
        assert [store.packet_ids[slot] for slot in store.pubrels] == [1]
        assert sorted([one for one in store.packet_ids if one > 0]) == [1, 3]


def test_a_full_store_takes_nothing_and_loses_nothing():
    for store in stores():
        put(store, (1, 1, b"a"), (2, 2, b"b"), (3, 1, b"c"))
        store.release(1)
        before = [bytes_of(store, slot) for slot in store.publishes]
        assert "full" in str(raises(Full, put, store, (4, 1, b"d")))
        assert [bytes_of(store, slot) for slot in store.publishes] == before
        assert 4 not in store.packet_ids
        store.free(store.publishes, 0)
        put(store, (4, 1, b"d"))
        assert [store.packet_ids[slot] for slot in store.publishes] == [3, 4]


def test_what_fits_no_slot_is_not_taken():
    for store in stores(size=20):
        put(store, (1, 1, b"x" * 13))  # 2 bytes of header, 3 of topic name, 2 of packet id
        raises(ValueError, put, store, (2, 1, b"x" * 14))
        assert [store.packet_ids[slot] for slot in store.publishes] == [1]
        put(store, (2, 1, b""))
        assert [store.packet_ids[slot] for slot in store.publishes] == [1, 2]


def test_a_cleared_store_is_empty():
    for store in stores():
        put(store, (1, 2, b"a"), (2, 1, b"b"))
        store.release(0)
        store.clear()
        assert not store.publishes and not store.pubrels and max(store.packet_ids) == 0
        put(store, (1, 1, b"a"), (2, 1, b"b"), (3, 1, b"c"))


def test_slots_that_cannot_be():
    for slots in (0, -1, 256):
        assert "1 to 255" in str(raises(ValueError, RamStore, slots, 60))
