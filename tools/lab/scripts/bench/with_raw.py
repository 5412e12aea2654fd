# Bare sockets: what remains when a client has nothing to do but move the bytes. Packets are built ahead; nothing is
# checked that need not be. Blocking sockets with TCP_NODELAY; one write a packet; reads take all that is there; the
# acknowledgements of one read go out in one write.

import socket
import struct
import time

from measure import CLIENT_ID, HOST

_BLOCK = 500
_READ = 65536
# A reader that takes each piece as it comes slows the broker down. Reading much and seldom was the fastest at QoS 0,
# reading a little less often at QoS 2, where each message takes two turns.
_BIG_READ = 1 << 20
_REST_MS = 10
_REST_US = 500


def _packet(head, body):
    return bytes([head, len(body)]) + body  # none here is longer than 127 bytes


def _string(data):
    return struct.pack(">H", len(data)) + data


def _publish_packet(run, packet_id):
    body = _string(run.topic)
    if run.qos:
        body += struct.pack(">H", packet_id)
    return _packet(0x30 | run.qos << 1, body + run.payload)


def _acks(head, count):
    # `count` acknowledgements, of the packet ids from 1 on.
    acks = bytearray(4 * count)
    for number in range(count):
        struct.pack_into(">BBH", acks, 4 * number, head, 2, number + 1)
    return memoryview(acks)


def _connect(run, clean_session):
    sock = socket.socket()
    sock.connect(socket.getaddrinfo(HOST, run.port)[0][-1])
    sock.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY
    sock.write(_packet(0x10, _string(b"MQTT") + bytes([4, clean_session << 1, 0, 0]) + _string(CLIENT_ID)))
    if sock.read(4)[3]:
        raise OSError("refused")
    return sock


def publish(run):
    sock = _connect(run, True)
    packet = _publish_packet(run, 1)
    write = sock.write
    readinto = sock.readinto
    ack = bytearray(4)
    release = b"\x62\x02\0\1"
    done = 0
    run.begin()
    if run.qos == 0:
        while run.more(done):
            for _ in range(_BLOCK):
                write(packet)
            done += _BLOCK
        write(b"\xc0\0")
        sock.read(2)  # its answer comes when the broker has read all before it
    elif run.qos == 1:
        while run.more(done):
            write(packet)
            readinto(ack)
            done += 1
    else:
        while run.more(done):
            write(packet)
            readinto(ack)
            write(release)
            readinto(ack)
            done += 1
    run.end(done)


def publish_window(run):
    sock = _connect(run, True)
    window = run.window
    packets = [_publish_packet(run, number + 1) for number in range(window)]
    releases = _acks(0x62, window)
    # Twice, so that those of any read lie in one piece.
    releases = memoryview(bytes(releases) + bytes(releases))
    write = sock.write
    recv = sock.recv
    sent = received = done = 0
    run.begin()
    for packet in packets:
        write(packet)
        sent += 1
    while done < sent:
        acks = recv(_READ)  # the broker writes whole ones
        completed = len(acks) >> 2
        if run.qos == 2:
            fresh = 0
            for at in range(0, len(acks), 4):
                if acks[at] == 0x50:
                    fresh += 1
            if fresh:
                write(releases[4 * received : 4 * (received + fresh)])
                received = (received + fresh) % window
                completed -= fresh
        done += completed
        if run.more(sent):
            for _ in range(completed):
                write(packets[sent % window])
                sent += 1
    run.end(done)


def receive(run):
    if run.qos == 0:
        _receive0(run)
    elif run.qos == 1:
        _receive1(run)
    else:
        _receive2(run)


def _receive0(run):
    size = len(_publish_packet(run, 1))
    buf = bytearray(_BIG_READ)
    got = 0
    run.begin()
    sock = _connect(run, False)
    sock.setblocking(False)
    while run.more(got // size):
        size_read = sock.readinto(buf)
        if size_read:
            got += size_read
        else:
            time.sleep_ms(_REST_MS)
    run.end(got // size)


def _receive1(run):
    size = len(_publish_packet(run, 1))
    pubacks = _acks(0x40, run.messages)
    got = done = 0
    run.begin()
    sock = _connect(run, False)
    write = sock.write
    recv = sock.recv
    while run.more(done):
        got += len(recv(_READ))
        whole = got // size
        if whole > done:
            write(pubacks[4 * done : 4 * whole])
            done = whole
    run.end(done)


def _receive2(run):
    size = len(_publish_packet(run, 1))
    pubrecs = _acks(0x50, run.messages)
    pubcomps = _acks(0x70, run.messages)
    published = done = 0
    rest = b""  # the beginning of a packet that is not all here
    run.begin()
    sock = _connect(run, False)
    write = sock.write
    recv = sock.recv
    while run.more(done):
        time.sleep_us(_REST_US)
        data = rest + recv(_READ) if rest else recv(_READ)
        fresh = released = at = 0
        end = len(data)
        while at < end:
            length = 4 if data[at] == 0x62 else size
            if at + length > end:
                break
            if length == 4:
                released += 1
            else:
                fresh += 1
            at += length
        rest = data[at:]
        if fresh:
            write(pubrecs[4 * published : 4 * (published + fresh)])
            published += fresh
        if released:
            write(pubcomps[4 * done : 4 * (done + released)])
            done += released
    run.end(done)
