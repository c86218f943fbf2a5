"""A session on a device, by way of its tracker."""

from __future__ import annotations

import logging
import time
from typing import Any

from tvm import rpc

from compile.support.errors import TargetError
from device.client.address import DeviceAddress

# A device has to be free again between two sessions of one run, which takes it some seconds.
_WAIT_SECONDS, _POLL_SECONDS = 60.0, 0.5


def count_devices(address: DeviceAddress) -> int:
    """How many devices the tracker knows by the key, free or in use.

    Raises:
        TargetError: none, or the tracker went away.
    """
    try:
        summary = rpc.connect_tracker(address.host, address.port).summary()
    except (OSError, RuntimeError) as error:
        raise _gone(address, error) from None
    count = _known(summary).count(address.key)
    if not count:
        raise _unknown(address, summary)
    return count


def request_device(
    address: DeviceAddress, most_seconds: float = 0.0, wait_seconds: float = _WAIT_SECONDS
) -> rpc.RPCSession:
    """A session on the device, once it is free, within ``wait_seconds``; the device ends it after
    ``most_seconds`` (0: never), whatever it does.

    Raises:
        TargetError: the tracker does not know the key, the device stays in use, or it cannot be
            reached.
    """
    logging.getLogger("RPCServer").setLevel(logging.ERROR)
    try:
        tracker = rpc.connect_tracker(address.host, address.port)
        _wait_until_free(tracker, address, wait_seconds)
    except (OSError, RuntimeError) as error:
        raise _gone(address, error) from None
    try:
        return tracker.request(address.key, max_retry=1, session_timeout=most_seconds)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise TargetError(
            f"{address} is registered but cannot be reached ({reason}): open the tunnel to its "
            "port, or let device/serve.py --host name an address that this machine reaches"
        ) from None


def _known(summary: dict[str, Any]) -> list[str]:
    return [one["key"].removeprefix("server:") for one in summary["server_info"]]


def _unknown(address: DeviceAddress, summary: dict[str, Any]) -> TargetError:
    known = sorted(set(_known(summary)))
    others = f"it knows {', '.join(map(repr, known))}" if known else "it knows none"
    return TargetError(
        f"the tracker at {address.host}:{address.port} knows no device of key "
        f"{address.key!r} ({others}): start device/serve.py --key {address.key} on the "
        "device, or mend --key"
    )


def _gone(address: DeviceAddress, error: Exception) -> TargetError:
    return TargetError(
        f"the tracker at {address.host}:{address.port} went away ({error}): start it again"
    )


def _wait_until_free(
    tracker: rpc.TrackerSession, address: DeviceAddress, wait_seconds: float
) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        summary = tracker.summary()
        if address.key not in _known(summary):
            raise _unknown(address, summary)
        if summary["queue_info"].get(address.key, {}).get("free"):
            return
        if time.monotonic() > deadline:
            raise TargetError(
                f"{address} has been in use for {wait_seconds:g} s: wait until its other session "
                "ends, or start device/serve.py there again"
            )
        time.sleep(_POLL_SECONDS)
