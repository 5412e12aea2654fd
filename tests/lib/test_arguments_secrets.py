"""An error of the client's arguments never shows a password."""

import pytest

from umqtt_full import MQTTClient

SECRET = "swordfish-hunter2"


@pytest.mark.parametrize("server", [f"mqtt://node:{SECRET}@host", f"node:{SECRET}@host", [f"node:{SECRET}@host"]])
def test_a_server_that_may_hold_a_password_is_not_shown(server):
    with pytest.raises(ValueError, match="server holds @") as found:
        MQTTClient("a", server)
    assert SECRET not in str(found.value)
