# Messages of QoS 2 larger than memory, from the broker: into a file before PUBREC, to the handler on PUBREL. The
# journal keeps the rest of the message; without a journal this module does.

import os
from errno import ENOENT

from . import const
from .stream_parts import COMPLETE, Handler, StreamError

_ENOSPC = const(28)  # MicroPython's errno does not name it
# A board's flush() goes to the flash; a computer's stops in between.
_fsync = getattr(os, "fsync", None)


class Files:
    def __init__(self, inward, protocol):
        protocol.keeps = True  # so that hand_over_kept() is asked
        self._inward = inward
        self._message = inward.message
        self._protocol = protocol
        self._session = protocol.session
        self._store = self._session.store
        self._is_journal = self._session.keeps
        self._path = self.file = None  # what is being written
        self._kept = []  # without a journal: [packet id, topic name, path, retain, dup] of each

    # Before PUBREC

    def open(self, folder):
        self._path = "%s/umqtt-%d.in" % (folder, self._message.packet_id)
        try:
            self.file = open(self._path, "wb")
        except OSError as e:
            raise self._failed(e)

    def write(self):
        payload = self._message.payload
        try:
            if self.file.write(payload) != len(payload):
                raise OSError(_ENOSPC, "no room")
        except OSError as e:
            raise self._failed(e)

    def keep(self):
        # The payload is whole: make it last.
        m = self._message
        try:
            self.file.flush()
            if _fsync:
                _fsync(self.file.fileno())
            self.file.close()
        except OSError as e:
            raise self._failed(e)
        if self._is_journal:
            m.payload[:] = self._path.encode()
            if not self._store.receive(m, True):
                raise self._failed(OSError(_ENOSPC, "topic name and path are over the journal's size"))
        else:
            self._kept.append([m.packet_id, bytes(m.topic_name), self._path, m.retain, m.dup])
        self.file = None

    def drop(self):
        # The rest of the payload will not come.
        if self.file:
            self.file.close()
            self.file = None
            _remove(self._path)

    def whole(self, handler):
        # A message that was small enough to come at once: with a journal, which has kept it, on its PUBREL.
        m = self._message
        if [one for one in self._kept if one[0] == m.packet_id]:
            return  # for another handler
        self.open(handler.folder)
        self.write()
        if self._is_journal:
            self.file.close()
            self.file = None
            self._tell(self._path, [handler])
        else:
            self.keep()

    def _failed(self, e):
        return StreamError(e.errno or 0, "file %s: %s" % (self._path, e))

    # On PUBREL

    def hand_over(self, packet_id):
        # Without a journal: hand over the next message that PUBREL with this id releases -> was there one? Packet id 0:
        # a connection begins.
        kept = self._kept
        p = self._protocol
        if not packet_id:
            if p.clean:
                # A clean session has forgotten them.
                kept.clear()
                for s in p.subscriptions:
                    if isinstance(s.callback, Handler) and s.callback.folder is not None:
                        self._remove_leftovers(s.callback.folder)
            if not kept or p.session_present:
                return False
            packet_id = kept[0][0]  # no peer will release it
        for place in range(len(kept)):
            if kept[place][0] == packet_id:
                self._hand_over(place)
                return True
        return False

    def _hand_over(self, place):
        one = self._kept[place]
        m = self._message
        m.packet_id, m.topic_name[:], path, m.retain, m.dup = one
        m.qos = 2
        one[4] = True  # should a handler raise
        self._tell(path, self._inward.match())
        self._kept.pop(place)

    def deliver(self, m):
        # A message that the journal has kept: its payload is the path of the file.
        self._tell(bytes(m.payload).decode(), self._inward.match())

    def _tell(self, path, handlers):
        inward = self._inward
        try:
            total = os.stat(path)[6]
        except OSError as e:
            if e.errno == ENOENT:
                return  # a handler has renamed it, and a reset or an error came before the journal forgot it
            raise StreamError(e.errno or 0, "file %s: %s" % (path, e))
        inward.handlers = handlers
        inward.begin(total)
        inward.part.offset = total
        inward.part.file = path
        inward.tell(inward.none, COMPLETE)
        _remove(path)

    # What a cut has left

    def start(self, folder):
        # A subscription into this folder begins.
        if not self._protocol.state:
            self._remove_leftovers(folder)

    def _remove_leftovers(self, folder):
        kept = [path.rsplit("/", 1)[1] for path in self._paths()]
        for name in os.listdir(folder or "/"):
            if name.startswith("umqtt-") and name.endswith(".in") and name not in kept:
                _remove(folder + "/" + name)

    def _paths(self):
        # -> the paths of the files that are kept
        paths = [one[2] for one in self._kept]
        if self._is_journal:
            store = self._store
            heads = bytes(store.heads)  # load() is not to say that a callback had them
            for slot in store.arrived:
                if store.extras[slot]:
                    store.load(slot, self._message)
                    paths.append(bytes(self._message.payload).decode())
            store.heads[:] = heads
        return paths


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass  # it was renamed, or will be found as a leftover
