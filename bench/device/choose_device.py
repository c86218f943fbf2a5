"""The device that a command line's ``--tracker`` and ``--key`` name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.device.device import Device
from compile.support.cli import stderr
from compile.support.errors import MqnetError
from device.client.request import DeviceAddress
from device.server.tracker import tracker_address


def device_address(tracker: str | None, key: str | None) -> DeviceAddress | None:
    """Of the device ``key`` of the tracker at "HOST:PORT"; None where this machine is meant.

    Raises:
        MqnetError: one of both is missing.
        TargetError: no tracker answers there.
    """
    if tracker is None and key is None:
        return None
    if tracker is None:
        raise MqnetError(f"key {key!r} needs the tracker that knows it: add --tracker")
    if key is None:
        raise MqnetError(f"tracker {tracker} may know several devices: add --key")
    return DeviceAddress(*tracker_address(tracker), key)


@contextmanager
def open_device(address: DeviceAddress, threads: int = 1) -> Iterator[Device]:
    """A session on the device, which waits while it is in use.

    Raises:
        TargetError: no such device, or it cannot be reached.
    """
    stderr.print(f"asking for {address}", highlight=False)
    device = Device(address, threads)
    try:
        yield device
    finally:
        device.close()
