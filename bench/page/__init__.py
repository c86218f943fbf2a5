"""From the file of a latency session to a page that can be handed on."""
