"""Engines on a device that a TVM tracker knows, timed in turns like those of this machine.

`device.py` is the session's side; the RPC itself lives in a process of its own
(`device_process.py`), because a device that falls silent must not take the session with it.
"""
