"""A node with several brokers in its configuration: each is tried when the one before is not there."""

from lab.mosquitto import Mosquitto
from node_rig import Watcher


def test_a_node_goes_on_to_the_next_broker_and_loses_nothing(mosquitto_is_there, start_node, tmp_path):
    with Mosquitto(tmp_path / "one") as one, Mosquitto(tmp_path / "other") as other:
        node = start_node(port=one.port, more_servers=[f"127.0.0.1:{other.port}"], journal="journal")
        watcher = Watcher(one.port)
        watcher.until_count("telemetry", 1)
        watcher.client.close()
        watcher = Watcher(other.port)
        assert not watcher.of("birth"), "it has not been there"
        one.stop()
        watcher.until_count("birth", 1)
        watcher.until_count("summary", 2)
        assert watcher.ask("ping")["ok"] is True
        watcher.client.close()
        # and back: with the second gone, the first is the next
        one.start()
        other.stop()
        watcher = Watcher(one.port)
        watcher.until_count("birth", 1)
        assert watcher.ask("ping")["ok"] is True
        watcher.client.close()
        assert node.process.poll() is None
