# umqtt.robust: umqtt.simple that connects again.

import with_umqtt_simple


def _client_class():
    from umqtt.robust import MQTTClient

    return MQTTClient


def publish(run):
    with_umqtt_simple.publish(run, _client_class)


def receive(run):
    with_umqtt_simple.receive(run, _client_class)
