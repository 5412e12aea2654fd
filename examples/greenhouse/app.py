"""A greenhouse: a BME280 at the pins 5 and 4, and a relay that heats. `umq deploy` puts this beside config.json."""

from bus import i2c
from controls import Number, Switch
from machine import Pin
from sensor_bme280 import BME280
from sensors import Sensor

# Keys of its own for config.json: (key, type, least, most, value when it is left out, meaning)
keys = (("relay_pin", int, 0, 48, 15, "the relay's pin"),)
target = 18


def sensors(settings):
    climate = BME280(i2c(scl=5, sda=4))
    return [climate, Sensor("too_cold", lambda: climate.celsius() < target, is_binary=True)]


def set_target(celsius):
    global target
    target = celsius


def commands(settings):
    relay = Pin(settings.relay_pin, Pin.OUT, value=0)
    return {"heating": Switch(relay), "target": Number(set_target, 5, 30, 0.5, "°C", target)}
