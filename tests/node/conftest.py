"""What the tests of the node share."""

import pytest

from lab import mosquitto
from node_rig import SECRET, Node, Watcher


@pytest.fixture(scope="session")
def mosquitto_is_there(need):
    need(mosquitto.find)


@pytest.fixture
def start_node(tmp_path):
    """start_node(**configuration keys) -> a Node, killed at the end; it must never have printed the secret."""
    nodes = []

    def start(**options):
        nodes.append(Node(tmp_path / "node", **options))
        return nodes[-1]

    yield start
    for node in nodes:
        node.kill()
        print(node.output)
        assert SECRET not in node.output
        assert "Traceback" not in node.output


@pytest.fixture
def watcher(broker):
    watcher = Watcher(broker.port)
    yield watcher
    watcher.client.close()
