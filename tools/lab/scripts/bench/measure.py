# One measurement, on MicroPython:
#
#   micropython measure.py MODULE QOS WINDOW|recv PORT TOPIC PAYLOAD MESSAGES SECONDS
#
# MODULE is the library that is measured, one of the with_*.py beside this file: each has publish(run), where it can
# publish_window(run), and receive(run). The last line printed is how many messages took how many microseconds.

import sys
import time

HOST = "127.0.0.1"
CLIENT_ID = b"bench"


class Run:
    # What to measure, and the clock. It ends after so many messages or so many seconds, whichever comes first.

    def __init__(self, arguments):
        self.qos = int(arguments[0])
        self.port = int(arguments[2])
        self.topic = arguments[3].encode()
        self.payload = arguments[4].encode()
        self.messages = int(arguments[5])
        self.window = 0 if arguments[1] == "recv" else int(arguments[1])
        self._limit = int(float(arguments[6]) * 1000000)
        self._start = self._took = self._done = 0

    def begin(self):
        self._start = time.ticks_us()

    def more(self, done):
        return done < self.messages and time.ticks_diff(time.ticks_us(), self._start) < self._limit

    def end(self, done):
        self._took = time.ticks_diff(time.ticks_us(), self._start)
        self._done = done

    def __str__(self):
        return "%d %d" % (self._done, self._took)


def main(arguments):
    library = __import__(arguments[0])
    run = Run(arguments[1:])
    if arguments[2] == "recv":
        library.receive(run)
    elif run.window > 1:
        library.publish_window(run)
    else:
        library.publish(run)
    print(run)


if __name__ == "__main__":
    main(sys.argv[1:])
