"""The far end of a PPP link over the UART of an emulated RP2040, with rp2040py's own NAT behind it.

The guest's TCP connections to GATEWAY come out at 127.0.0.1. Look-ups of names are answered here, or left unanswered.
"""

import asyncio
import contextlib
import struct

from rp2040py.external.cyw43 import net
from rp2040py.external.cyw43.nat import TcpReflector
from rp2040py.peripherals.uart import RPUART

GUEST = bytes((10, 0, 0, 2))
GATEWAY = bytes((10, 0, 0, 1))
NAME_SERVERS = bytes((10, 0, 0, 53)), bytes((10, 0, 0, 54))

_FLAG, _ESCAPE = 0x7E, 0x7D
_IP, _IPCP, _LCP = 0x0021, 0x8021, 0xC021
_REQUEST, _ACK, _NAK, _REJECT, _TERMINATE, _TERMINATED, _REJECT_PROTOCOL, _ECHO, _ECHOED = 1, 2, 3, 4, 5, 6, 8, 9, 10
_ADDRESS = 3  # IPCP's options (RFC 1332, RFC 1877)
_NAME_SERVER = {129: NAME_SERVERS[0], 131: NAME_SERVERS[1]}
_DNS_PORT = 53
_UART1 = 0x40038  # where rp2040py has it
_RECEIVE_TIMEOUT = 1 << 6  # UARTRTINTR

# The emulated UART takes 32 bytes at once; these take so long at 921,600 baud.
_BURST = 16
_BURST_NS = 174_000
# MicroPython reads its UART only when that falls idle.
_GAP_NS = 1_500_000


class _Uart(RPUART):
    """A UART that says when its line falls idle, which rp2040py 0.3.6 leaves out, and by which MicroPython reads.

    It never asks for more to send, for all that it is given is sent at once. rp2040py 0.3.6 asks for ever.
    """

    def check_interrupts(self):
        self.rp2040.set_interrupt(self.irq, bool(self._interrupt_status & self._interrupt_mask))

    def fall_idle(self):
        self._interrupt_status |= _RECEIVE_TIMEOUT
        self.check_interrupts()


class Ppp:
    """The far end of the link on UART 1 of `mcu`, an rp2040py RP2040.

    names: {host name: four bytes of its address}; None leaves every look-up unanswered.
    on_frame: called with no argument after the guest has sent a frame.
    """

    def __init__(self, mcu, names, on_frame):
        self.names = names
        self.questions = 0  # how many look-ups have come
        self.is_up = False
        self.sent = 0  # frames to the guest
        plain = mcu.uart[1]
        self._uart = mcu.uart[1] = mcu.peripherals[_UART1] = _Uart(mcu, plain.name, plain.irq, plain.dreq)
        self._on_frame = on_frame
        self._tcp = TcpReflector(mcu, self._ethernet, connect_fn=_connect)
        self._frame = bytearray()
        self._is_escaped = False
        self._queue = []  # frames for the guest, encoded
        self._is_sending = False
        self._alarm = mcu.clock.create_alarm(self._feed)
        self._uart.on_byte = self._take

    def cut(self):
        """Close every TCP connection at the host's side."""
        self._tcp.reset()

    def _take(self, byte):
        if byte == _FLAG:
            frame = bytes(self._frame)
            self._frame.clear()
            if len(frame) > 4 and _fcs(frame) == 0xF0B8:
                self._judge(frame[:-2])
                self._on_frame()
        elif byte == _ESCAPE:
            self._is_escaped = True
        else:
            self._frame.append(byte ^ 0x20 if self._is_escaped else byte)
            self._is_escaped = False

    def _judge(self, frame):
        if frame[:2] == b"\xff\x03":
            frame = frame[2:]
        # Both may be compressed: the header away, the protocol one byte, which is then odd (RFC 1661).
        size = 1 if frame[0] & 1 else 2
        protocol, data = int.from_bytes(frame[:size], "big"), frame[size:]
        if protocol == _IP:
            self._judge_ip(data)
        elif protocol in (_LCP, _IPCP):
            self._judge_control(protocol, data)
        else:
            self._control(_LCP, _REJECT_PROTOCOL, 1, protocol.to_bytes(2, "big") + data)

    def _judge_control(self, protocol, data):
        code, number, size = struct.unpack(">BBH", data[:4])
        data = data[4:size]
        if code == _REQUEST:
            answer, options = (_ACK, data) if protocol == _LCP else _judge_options(data)
            self._control(protocol, answer, number, options)
            if answer == _ACK:
                # The link's other direction: this end asks for nothing but its address.
                own = bytes((_ADDRESS, 6)) + GATEWAY if protocol == _IPCP else b""
                self._control(protocol, _REQUEST, 1, own)
                self.is_up = protocol == _IPCP
        elif code == _ECHO:
            self._control(protocol, _ECHOED, number, bytes(4) + data[4:])
        elif code == _TERMINATE:
            self.is_up = False
            self._control(protocol, _TERMINATED, number, b"")

    def _judge_ip(self, data):
        packet = net.parse_ipv4(data)
        if packet is None:
            return
        if packet.proto == net.IP_PROTO_TCP:
            # rp2040py 0.3.6 raises this when the guest ends a connection that its peer has already closed.
            with contextlib.suppress(OSError):
                self._tcp.maybe_handle(net.EthernetFrame(bytes(6), bytes(6), net.ETHERTYPE_IPV4, data), packet)
        elif packet.proto == net.IP_PROTO_UDP:
            datagram = net.parse_udp(packet.payload)
            if datagram is not None and datagram.dst_port == _DNS_PORT:
                self.questions += 1
                if self.names is not None:
                    answer = _answer(datagram.payload, self.names)
                    answer = net.pack_udp(packet.dst_ip, packet.src_ip, _DNS_PORT, datagram.src_port, answer)
                    self._send(_IP, net.pack_ipv4(packet.dst_ip, packet.src_ip, net.IP_PROTO_UDP, answer))

    def _ethernet(self, frame):
        self._send(_IP, frame[14:])

    def _control(self, protocol, code, number, data):
        self._send(protocol, struct.pack(">BBH", code, number, 4 + len(data)) + data)

    def _send(self, protocol, data):
        frame = b"\xff\x03" + protocol.to_bytes(2, "big") + data
        frame += (_fcs(frame) ^ 0xFFFF).to_bytes(2, "little")
        escaped = bytearray((_FLAG,))
        for byte in frame:
            escaped += bytes((_ESCAPE, byte ^ 0x20)) if byte < 0x20 or byte in (_FLAG, _ESCAPE) else bytes((byte,))
        self._queue.append(bytes(escaped) + bytes((_FLAG,)))
        self.sent += 1
        if not self._is_sending:
            self._is_sending = True
            self._alarm.schedule(_GAP_NS)

    def _feed(self):
        frame = self._queue.pop(0)
        for byte in frame[:_BURST]:
            self._uart.feed_byte(byte)
        rest = frame[_BURST:]
        if rest:
            self._queue.insert(0, rest)
        else:
            self._uart.fall_idle()
        self._is_sending = bool(self._queue)
        if self._is_sending:
            self._alarm.schedule(_BURST_NS if rest else _GAP_NS)


async def _connect(_host, port):
    return await asyncio.open_connection("127.0.0.1", port)


def _judge_options(data):
    # IPCP: a header's compression is rejected; addresses other than those meant for the guest are put right.
    unknown, wrong = b"", b""
    rest = data
    while rest:
        option, rest = rest[: rest[1]], rest[rest[1] :]
        right = GUEST if option[0] == _ADDRESS else _NAME_SERVER.get(option[0])
        if right is None:
            unknown += option
        elif option[2:] != right:
            wrong += option[:2] + right
    if unknown:
        return _REJECT, unknown
    return (_NAK, wrong) if wrong else (_ACK, data)


def _answer(question, names):
    # The answer of a name server (RFC 1035): one address, or that there is no such name.
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    asked = question[12 : at + 5]
    address = names.get(".".join(labels))
    if address is None:
        return question[:2] + struct.pack(">HHHHH", 0x8183, 1, 0, 0, 0) + asked
    record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + address
    return question[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + asked + record


def _fcs(data):
    # RFC 1662, C.2
    fcs = 0xFFFF
    for byte in data:
        fcs ^= byte
        for _ in range(8):
            fcs = fcs >> 1 ^ 0x8408 if fcs & 1 else fcs >> 1
    return fcs
