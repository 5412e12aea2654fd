"""The first half of the node's start: the configuration, app.py, and the sensors and commands that both ask for.

start.py drops this module, config.py and owner.py afterwards, so that they cost a running node no heap. So nothing here
may be kept by an object that lives on: no function of this module, no lambda.
"""

import board
import config
import controls
import wifi
from owner import Owner
from sensors import Readings
from trial import Trial


def prepare(program):
    """Set trial, settings, readings, commands and notes of a start.Program.

    Raises config.ConfigError.
    """
    program.ConfigError = config.ConfigError
    past = program.past
    owner = Owner(past, print, not past.was_crashing)
    has_wifi = wifi.is_there()
    program.trial = trial = Trial(
        program.path,
        lambda name, text: config.check(name, text, has_wifi, owner.keys),
        config.ConfigError,
        board.reset_cause() == "power",
    )
    program.settings = settings = trial.settings
    program.trial_ms = settings.trial_ms
    if settings.remote_care:
        from care import Log

        program.log = Log()
    if trial.fallback:
        program.notes["config"] = "the last one that worked: " + trial.fallback[:160]
        print("node: runs with the last configuration that worked: " + trial.fallback)
    try:
        led = board.Led(settings.led_pin)
    except ValueError as error:
        raise config.ConfigError(str(error))
    program.commands["led"] = controls.Switch(led.set, led.is_lit)
    program.readings = _readings(settings, owner, program.commands, program.told)
    if owner.fault:
        program.notes["app"] = owner.fault


def _readings(settings, owner, commands, told):
    # The sensors of the configuration and those of the owner, whose commands are added to `commands`.
    sources = _sources(settings)
    if settings.sensor is not None:
        sources.insert(0, _source({"kind": settings.sensor}, '"sensor"'))
    own = owner.sources(settings)
    thermometer = [] if sources or own else [_source({"kind": "auto"}, '"sensor"')]
    own_commands = owner.commands(settings)
    try:
        both = dict(commands)
        both.update(own_commands)
        readings = Readings(sources + own + thermometer, _states(both), told)
        commands.update(own_commands)
        return readings
    except ValueError as error:
        if not (own or own_commands):
            raise config.ConfigError('"sensors": %s' % error)
        owner.failed(error)
    try:
        return Readings(sources or [_source({"kind": "auto"}, '"sensor"')], _states(commands), told)
    except ValueError as error:
        raise config.ConfigError('"sensors": %s' % error)


def _states(commands):
    return {name: command.state for name, command in commands.items() if hasattr(command, "state")}


def _sources(settings):
    return [_source(row, '"sensors" entry %d' % (at + 1)) for at, row in enumerate(settings.sensors or ())]


def _source(row, what):
    # A kind's module is loaded only if it is used.
    kind = "chip" if row["kind"] in ("auto", "simulated") else row["kind"]
    try:
        return __import__("sensor_" + kind).open(row)
    except (config.ConfigError, ValueError) as error:
        raise config.ConfigError("%s: %s" % (what, error))
