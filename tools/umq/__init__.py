"""umqtt_full on boards: the tools that users install."""
