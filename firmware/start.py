"""Runs the node: from its start to its end, and what comes after that."""

# What is None at first is set before it is used:
# pyright: reportAttributeAccessIssue=false

import sys
import time
from collections import OrderedDict

# First what stays: config.py, which is dropped again, is to leave one hole in the heap, and not many.
import board
import link  # noqa: F401
import sensors  # noqa: F401
import wifi  # noqa: F401
from micropython import const
from past import Past

from node import Restart
from umqtt_full import MQTTException

_LOOK_MS = const(100)
_TRY_AGAIN_MS = const(60_000)  # after a refusal, or an error in the node itself
_SAFE_MS = const(600_000)  # how long the node runs without app.py, before it is tried again


def run(path):
    """Run the node with the configuration file at `path`, until it is interrupted. What stops it before is printed.

    On a board, a node that has worked before is started again.
    """
    program = Program(path)
    try:
        program.build()
        program.node.run()
        return
    except KeyboardInterrupt:
        program.stop()
        print("node: stopped")
        return
    except Restart as why:
        print("node: starts anew:", why)
        program.stop()
        board.reset()
    except MQTTException as error:
        words = "the broker refuses this node: %s (code %s)" % (error.args[-1], error.args[0])
    except Exception as error:
        if isinstance(error, program.ConfigError):
            words = str(error)
        elif board.IS_BOARD:
            program.past.keep(error)
            sys.print_exception(error)  # pyright: ignore[reportAttributeAccessIssue]: MicroPython's own
            program.give_up("an error in the node itself", True)
            return
        else:
            raise
    program.give_up(words)


class Program:
    """A node from its start to its end; prepare.py and assembly.py make its parts."""

    def __init__(self, path):
        self.path = path
        self.folder = path[: path.rfind("/") + 1]
        self.past = Past(self.folder + "node.state", board.reset_cause() == "watchdog")
        self.node = self.client = self.radio = self.trial = self.settings = self.readings = None
        self.commands = OrderedDict()
        self.notes = {}
        self.log = print
        self.ConfigError = ()  # config.py's class, once it is loaded
        self.trial_ms = 0
        self.feed = board.feed
        self._started_at = self._linked_at = time.ticks_ms()

    def build(self):
        """Make the parts. What is needed for that alone is dropped again: a running node needs the heap."""
        import prepare

        prepare.prepare(self)
        del prepare
        board.drop("prepare", "config", "owner")
        import assembly

        assembly.build(self)
        del assembly
        board.drop("assembly", "discovery")
        self.settings = self.trial.settings = None

    def restart(self, why):
        """Start anew as soon as what waits has gone out."""
        self.node.restart(why)

    def stop(self):
        if self.node:
            self.node.stop()

    def give_up(self, words, again=False):
        """The node cannot go on. With another configuration it starts anew; if it has worked before, or if it is told
        to do it `again`, it tries again."""
        print("node:", words)
        if self.trial and self.trial.failed(words):
            print("node: starts anew with the other configuration")
            board.reset()
        if not board.IS_BOARD:
            sys.exit(1)
        if again or self.trial and self.trial.has_worked():
            print("node: tries again in %d s" % (_TRY_AGAIN_MS // 1_000))
            started = time.ticks_ms()
            while time.ticks_diff(time.ticks_ms(), started) < _TRY_AGAIN_MS:
                self.feed()
                time.sleep_ms(_LOOK_MS)
            board.reset()
        # On a board the end of main.py leads to the prompt.

    # What the node calls

    def told(self, words, error):
        """A sensor fails in a new way, or works again."""
        self.log(words)
        if error is not None:
            self.past.keep(error)

    def connected(self):
        """The broker has been reached."""
        self.past.reached_broker()
        self.trial.worked()

    def wait(self):
        """The node waits, or works on: at least once a second."""
        self.feed()
        if self.radio:
            self.radio.tend()
        now = time.ticks_ms()
        if self.client.is_connected():
            self._linked_at = now
        elif time.ticks_diff(now, self._linked_at) > self.trial_ms:
            self._linked_at = now
            why = "no broker within %d s" % (self.trial_ms // 1_000)
            if self.trial.failed(why):
                raise Restart(why + ": the other configuration's turn")
        if self.past.was_crashing and time.ticks_diff(now, self._started_at) > _SAFE_MS:
            raise Restart("app.py gets another chance")
