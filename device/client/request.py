"""A session on a device, by way of its tracker."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from tvm import rpc
from tvm.rpc import base
from tvm.rpc.base import TrackerCode

from compile.support.errors import TargetError
from device.client.address import DeviceAddress

# A device has to be free again between two sessions of one run, which takes it some seconds.
_WAIT_SECONDS, _POLL_SECONDS = 60.0, 0.5
# A tracker that is there answers soon, but TVM's lets two callers wait at its door: the system
# drops further ones and calls again for them ever more seldom, where a new call comes through.
_SECONDS_OF_CALLS, _SECONDS_OF_TRACKER = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0), 10.0
_SECONDS_TO_BE_GIVEN = 2.0
# A device of several may be out of reach; one that was stopped has another key a moment later.
_TRIES, _SECONDS_TO_TRY_AGAIN = 3, 10.0


def count_devices(address: DeviceAddress) -> int:
    """How many devices the tracker knows by the key, free or in use.

    Raises:
        TargetError: none, or the tracker went away.
    """
    with _tracker(address) as tracker:
        summary = _summary(tracker)
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
    deadline, reason = time.monotonic() + wait_seconds, ""
    for _ in range(_TRIES):
        place = _wait_for_device(address, deadline)
        if place is None:
            break
        try:
            return rpc.connect(*place, session_timeout=most_seconds)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            deadline = time.monotonic() + _SECONDS_TO_TRY_AGAIN
    if reason:
        raise TargetError(
            f"{address} is registered but cannot be reached ({reason}): open the tunnel to its "
            "port, or let device/serve.py --host name an address that this machine reaches"
        )
    raise TargetError(
        f"{address} has been in use for {wait_seconds:g} s: wait until its other session "
        "ends, or start device/serve.py there again"
    )


@contextmanager
def _tracker(address: DeviceAddress) -> Iterator[socket.socket]:
    """A connection to the tracker, which TVM's own would wait for without an end.

    Raises:
        TargetError: it is gone, or stops to answer.
    """
    try:
        with _call(address) as connection:
            connection.settimeout(_SECONDS_OF_TRACKER)
            yield connection
    except OSError as error:
        raise TargetError(
            f"the tracker at {address.host}:{address.port} went away ({error}): start it again"
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise TargetError(
            f"what answers at {address.host}:{address.port} is no tracker of this TVM: mend the "
            "address, or start device/serve.py again"
        ) from None


def _call(address: DeviceAddress) -> socket.socket:
    """A connection on which the tracker has said what it is.

    Raises:
        OSError: nothing listens there, or nothing is said at the last call either.
    """
    for seconds in _SECONDS_OF_CALLS:
        # Those who were dropped together would be dropped together again.
        patience = seconds * random.uniform(0.5, 1.0)
        with suppress(TimeoutError), ExitStack() as opened:
            there = socket.create_connection((address.host, address.port), patience)
            connection = opened.enter_context(there)
            connection.sendall(struct.pack("<i", base.RPC_TRACKER_MAGIC))
            base.recvall(connection, 4)
            opened.pop_all()
            return connection
    raise TimeoutError("timed out")


def _ask(tracker: socket.socket, message: list[Any]) -> Any:
    base.sendjson(tracker, message)
    _, answer = base.recvjson(tracker)
    return answer


def _summary(tracker: socket.socket) -> dict[str, Any]:
    return _ask(tracker, [TrackerCode.SUMMARY])


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


def _wait_for_device(address: DeviceAddress, deadline: float) -> tuple[str, int, str] | None:
    """Host, port and key of a device that has become free; None: none does before the deadline.

    Raises:
        TargetError: the tracker knows no such device, or is gone.
    """
    while True:
        with _tracker(address) as tracker:
            while not _is_free(address, tracker):
                if time.monotonic() > deadline:
                    return None
                time.sleep(_POLL_SECONDS)
            # Whoever asks first gets it; the others' requests end with their connections.
            tracker.settimeout(_SECONDS_TO_BE_GIVEN)
            with suppress(TimeoutError):
                host, port, key = _ask(tracker, [TrackerCode.REQUEST, address.key, "", 1])
                return host, port, key
        if time.monotonic() > deadline:
            return None


def _is_free(address: DeviceAddress, tracker: socket.socket) -> bool:
    """
    Raises:
        TargetError: the tracker knows no such device.
    """
    summary = _summary(tracker)
    if address.key not in _known(summary):
        raise _unknown(address, summary)
    return bool(summary["queue_info"].get(address.key, {}).get("free"))
