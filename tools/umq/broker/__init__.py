"""umq broker: an MQTT 3.1.1 broker that needs no installation."""
