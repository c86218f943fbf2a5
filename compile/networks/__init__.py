"""Networks that can be compiled, MQNet first."""
