"""Devices that a TVM tracker knows, seen from the machine that uses them: how a session is had."""
