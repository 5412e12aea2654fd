"""A TCP proxy on loopback that disturbs connections as bad networks do, each at a given byte."""

import asyncio
import collections
import contextlib
import math
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from emulation.ports import free_port

_CHUNK = 65536

# The faults of a connection after a number of bytes in one direction:
RESET = "reset"  # it is cut at both ends with RST
FIN = "fin"  # it is cut at both ends with FIN, in good order
BLACKHOLE = "blackhole"  # its bytes vanish for a while; then it is cut with RST
# and before that, at half of the bytes:
STALL = "stall"  # that direction stands still for a while


@dataclass(frozen=True)
class Plan:
    """The faults of one connection; by default none."""

    fault: str = ""
    upward: bool = True  # are the bytes from client to server counted, or those back?
    after: int = 0  # how many of them pass before the fault
    hold_s: float = 0  # how long a blackhole lasts
    stall_s: float = 0  # and how long a stall
    piece: int = 0  # bytes pass in pieces of at most so many; 0: as they come
    delay_s: float = 0  # before each piece
    refuse_s: float = 0  # connections are refused for so long once this one is over


def random_plans(seed):
    """-> a function that returns one Plan after another: the same ones for the same seed."""
    dice = random.Random(seed)

    def plan():
        # Either small pieces or a delay, because both together take too long.
        manners = [{}] * 5 + [{"piece": 1}, {"piece": dice.randint(2, 100)}, {"delay_s": dice.uniform(0, 0.003)}]
        return Plan(
            fault=dice.choices((RESET, FIN, BLACKHOLE), (50, 46, 4))[0],
            upward=dice.random() < 0.5,
            # The fault is as likely among a connection's first bytes as among the later ones.
            after=int(math.exp(dice.uniform(0, math.log(40_000)))) - 1,
            hold_s=dice.uniform(0.05, 1),
            stall_s=dice.choice((0,) * 19 + (dice.uniform(0, 0.4),)),
            **dice.choice(manners),
            refuse_s=dice.choice((0,) * 19 + (dice.uniform(0, 0.3),)),
        )

    return plan


class FaultProxy:
    """Passes connections on to 127.0.0.1:`port`; plan() is called for each, and returns its Plan.

    A context manager; `.port` is where it listens on 127.0.0.1, and `.counts` says how often something happened: each
    fault by its name, "connections", "in pieces", "refusing" (for a while), "server away". tap(data) is called with the
    server's bytes as they come, in the proxy's own thread.
    """

    def __init__(self, port, plan: Callable[[], Plan] = Plan, tap=None):
        self.port = free_port()
        self.counts = collections.Counter()
        self.gentle = False  # while it is True no plan is asked for: connections are just passed on
        self._target = port
        self._plan = plan
        self._tap = tap or (lambda: lambda data: None)
        self._listener = None
        self._listening_again = None
        self._connections = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._listen()
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self):
        if self._listening_again:
            self._listening_again.cancel()
        self._stop_listening()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _listen(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)

    def _stop_listening(self):
        if self._listener:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self):
        with contextlib.suppress(OSError):  # it may be gone again
            near, _ = self._listener.accept()
            connection = self._loop.create_task(self._serve(near))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)

    async def _serve(self, near):
        plan = Plan() if self.gentle else self._plan()
        self.counts["connections"] += 1
        far = socket.socket()
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = RESET
        try:
            try:
                await self._loop.sock_connect(far, ("127.0.0.1", self._target))
            except OSError:
                self.counts["server away"] += 1
                return
            if plan.piece:
                self.counts["in pieces"] += 1
            end = await _Connection(near, far, plan, self._tap(), self.counts).run()
        finally:
            for sock in (near, far):
                _close(sock, end)
        if plan.refuse_s and self._listener and not self.gentle:
            self.counts["refusing"] += 1
            self._stop_listening()
            self._listening_again = self._loop.call_later(plan.refuse_s, self._listen)


class _Connection:
    """Two sockets and what passes between them."""

    def __init__(self, near, far, plan, tap, counts):
        self._near = near
        self._far = far
        self._plan = plan
        self._tap = tap
        self._counts = counts
        self._black = False  # does nothing pass any more?

    async def run(self):
        """Pass bytes on until one end closes, or the plan's fault cuts it -> how it is to be closed."""
        directions = [
            asyncio.create_task(self._pass(self._near, self._far, upward=True)),
            asyncio.create_task(self._pass(self._far, self._near, upward=False)),
        ]
        try:
            done, _ = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    async def _pass(self, source, sink, *, upward):
        plan = self._plan
        loop = asyncio.get_running_loop()
        marks = []  # (after how many bytes, what happens)
        if plan.fault and plan.upward == upward:
            marks = [(plan.after // 2, STALL)] if plan.stall_s else []
            marks.append((plan.after, plan.fault))
        passed = 0
        try:
            while True:
                while marks and passed == marks[0][0]:
                    _, what = marks.pop(0)
                    self._counts[what] += 1
                    if what == STALL:
                        await asyncio.sleep(plan.stall_s)
                    elif what == BLACKHOLE:
                        await self._swallow(source)
                        return RESET
                    else:
                        return what
                data = await loop.sock_recv(source, min(_CHUNK, marks[0][0] - passed) if marks else _CHUNK)
                if not data:
                    return FIN
                if not upward:
                    self._tap(data)
                passed += len(data)
                if not self._black:
                    await self._send(sink, data)
        except OSError:
            return RESET

    async def _swallow(self, source):
        self._black = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._plan.hold_s):
                while await asyncio.get_running_loop().sock_recv(source, _CHUNK):
                    pass

    async def _send(self, sink, data):
        plan = self._plan
        loop = asyncio.get_running_loop()
        step = plan.piece or len(data)
        for start in range(0, len(data), step):
            if plan.delay_s or plan.piece:
                await asyncio.sleep(plan.delay_s)  # with 0 the others have their turn: the receiver may see the piece
            await loop.sock_sendall(sink, data[start : start + step])


def _close(sock, end):
    if end == RESET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
