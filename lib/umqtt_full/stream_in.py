# Payloads larger than memory, from the broker, in parts: which handlers get them. Loaded by the first subscription.

from .stream_parts import ABORTED, COMPLETE, MORE, Handler, Part
from .topics import is_topic_name, matches


class Inward:
    def __init__(self, protocol):
        self._protocol = protocol
        self.message = protocol.reader.message
        self.part = Part(self.message)
        self.none = bytearray()  # the payload of a part that has none
        self._one = [None]  # a list to hold one handler
        self.handlers = self._one  # that get the message under way
        self._telling = False  # does a handler run?
        self.files = None

    def handler(self, handler, folder):
        # -> the callback of the subscription
        if folder is not None:
            self.load_files().start(folder)
        return Handler(self, handler, folder)

    def load_files(self):
        if not self.files:
            from .stream_file import Files

            self.files = Files(self, self._protocol)
        return self.files

    # A message over max_packet

    def begin_large(self, m, total):
        # Its first part came in, with the topic name -> does a handler want it?
        self.handlers = self.match()
        if not self.handlers:
            return False
        self.begin(total)
        if m.qos == 2:
            session = self._protocol.session
            if (session.keeps and session.store.kept(m.packet_id) >= 0) or not session.is_new(m):
                self.handlers = ()  # they have it already [MQTT-4.3.3-2]
            else:
                for handler in self.handlers:
                    if handler.folder is not None:
                        self.files.open(handler.folder)
                        break
        return True

    def piece(self, payload):
        if self.files and self.files.file:
            self.files.write()
        else:
            self.tell(payload, MORE)
        self.part.offset += len(payload)

    def end(self):
        if self.files and self.files.file:
            self.files.keep()
        else:
            self.tell(self.none, COMPLETE)

    # Any message

    def whole(self, handler, m):
        # A message that is all here
        self.handlers = self._one
        self._one[0] = handler
        self.begin(len(m.payload))
        if m.qos == 2 and handler.folder is not None:
            return self.files.whole(handler)
        if m.payload:
            self.tell(m.payload, MORE)
            self.part.offset = len(m.payload)
        self.tell(self.none, COMPLETE)

    def begin(self, total):
        m = self.message
        part = self.part
        part.offset = 0
        part.total = total
        part.qos = m.qos
        part.retain = m.retain
        part.dup = m.dup
        part.packet_id = m.packet_id
        part.state = COMPLETE
        part.file = None

    def tell(self, payload, state):
        part = self.part
        part.payload = payload
        part.state = state
        self._telling = True
        try:
            for handler in self.handlers:
                self._protocol.call(handler.handler, part)
        except BaseException:
            # Of a message in parts a handler cannot get one part again: the broker sends the whole message again.
            self._protocol.breaks = True
            raise
        finally:
            self._telling = False

    def closed(self):
        # The link is gone: of the message under way no more will come.
        if self._telling:
            return  # a handler has closed it
        part = self.part
        if self.files:
            self.files.drop()
        if part.state == MORE:
            part.state = ABORTED
            part.payload = self.none
            for handler in self.handlers:
                self._protocol.call(handler.handler, part)

    def match(self):
        # -> the handlers of this message
        m = self.message
        if not is_topic_name(m.topic_name):
            return ()  # [MQTT-3.3.2-2]
        p = self._protocol
        p.stale = True  # it has not routed this topic name
        found = [s for s in p.subscriptions if isinstance(s.callback, Handler)]
        return [s.callback for s in found if matches(s.topic_filter, m.topic_name)]
