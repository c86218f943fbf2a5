"""A session on a device, by way of its tracker."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from tvm import rpc

from compile.errors import TargetError

# A device has to be free again between two sessions of one run, which takes it some seconds.
_WAIT_SECONDS, _POLL_SECONDS = 60.0, 0.5


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


def request_device(address: DeviceAddress) -> rpc.RPCSession:
    """A session on the device, once it is free.

    Raises:
        TargetError: the tracker does not know the key, the device stays in use, or it cannot be
            reached.
    """
    logging.getLogger("RPCServer").setLevel(logging.ERROR)
    try:
        tracker = rpc.connect_tracker(address.host, address.port)
        _wait_until_free(tracker, address)
    except (OSError, RuntimeError) as error:
        raise TargetError(
            f"the tracker at {address.host}:{address.port} went away ({error}): start it again"
        ) from None
    try:
        return tracker.request(address.key, max_retry=1)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise TargetError(
            f"{address} is registered but cannot be reached ({reason}): open the tunnel to its "
            "port, or let targets/serve.py --host name an address that this machine reaches"
        ) from None


def _wait_until_free(tracker: rpc.TrackerSession, address: DeviceAddress) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        summary = tracker.summary()
        known = sorted({one["key"].removeprefix("server:") for one in summary["server_info"]})
        if address.key not in known:
            others = f"it knows {', '.join(map(repr, known))}" if known else "it knows none"
            raise TargetError(
                f"the tracker at {address.host}:{address.port} knows no device of key "
                f"{address.key!r} ({others}): start targets/serve.py --key {address.key} on the "
                "device, or mend --key"
            )
        if summary["queue_info"].get(address.key, {}).get("free"):
            return
        if time.monotonic() > deadline:
            raise TargetError(
                f"{address} has been in use for {_WAIT_SECONDS:g} s: wait until its other session "
                "ends, or start targets/serve.py there again"
            )
        time.sleep(_POLL_SECONDS)
