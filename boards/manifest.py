# What every board freezes beside MicroPython's own choice for it: the library, and the node. Not its main.py, for a
# frozen one would be run in place of any on the filesystem; that, and config.json, lie there.
package("umqtt_full", base_path="../lib")
freeze(
    "../firmware",
    (
        "assembly.py",
        "board.py",
        "bus.py",
        "care.py",
        "clock.py",
        "config.py",
        "controls.py",
        "discovery.py",
        "line.py",
        "link.py",
        "node.py",
        "owner.py",
        "past.py",
        "prepare.py",
        "sensor_adc.py",
        "sensor_bme280.py",
        "sensor_chip.py",
        "sensor_dht22.py",
        "sensor_ds18b20.py",
        "sensor_input.py",
        "sensor_sht4x.py",
        "sensors.py",
        "start.py",
        "trial.py",
        "wifi.py",
        "wifi_words.py",
    ),
)
