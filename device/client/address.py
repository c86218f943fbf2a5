"""Where a device is found: the key that a TVM tracker knows it by."""

from __future__ import annotations

from dataclasses import dataclass

from compile.support.errors import MqnetError
from device.server.tracker import tracker_address


@dataclass(frozen=True)
class DeviceAddress:
    """Where a device is found.

    Attributes:
        host, port: of the tracker.
        key: that the tracker knows the device by.
    """

    host: str
    port: int
    key: str

    def __str__(self) -> str:
        """As sentences name it."""
        return f"device {self.key!r} of tracker {self.host}:{self.port}"


def device_address(tracker: str | None, key: str | None) -> DeviceAddress | None:
    """Read a command line's ``--tracker``, "HOST:PORT", and ``--key``; None where both are missing
    and this machine is meant.

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
