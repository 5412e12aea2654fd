"""machine.Timer: a callback after a time, or again and again. A thread takes the place of the chip's interrupt."""

import _thread
import sys
import time


class Timer:
    """A timer of any number; `callback(timer)` may run between any two bytecodes, as on a chip."""

    ONE_SHOT, PERIODIC = 0, 1

    def __init__(self, id=-1, **settings):
        self._run = None
        if settings:
            self.init(**settings)

    def init(self, *, mode=PERIODIC, freq=-1, period=-1, callback=None, tick_hz=1000, hard=False):
        period_ms = 1000 / freq if freq > 0 else period * 1000 / tick_hz
        if period_ms < 1:
            raise ValueError("the period must be at least 1 ms")
        self._run = run = object()
        _thread.start_new_thread(self._live, (run, int(period_ms), mode, callback))

    def deinit(self):
        self._run = None

    def _live(self, run, period_ms, mode, callback):
        while self._run is run:
            time.sleep_ms(period_ms)
            if self._run is run and callback:
                try:
                    callback(self)
                except Exception as error:
                    sys.print_exception(error)
            if mode == self.ONE_SHOT:
                return
