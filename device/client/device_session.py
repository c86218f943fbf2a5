"""The one way to a device that a TVM tracker knows, for tuning and for measuring.

The RPC lives in a process of its own: a device that falls silent, or a kernel that never ends, is
given up by a time limit, and takes nothing else with it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from compile.artefact.compatibility import TargetNeeds
from compile.support.errors import MqnetError, TargetError
from compile.support.outcome import Outcome
from compile.support.quick_start import import_tvm_alone
from compile.support.worker_process import WorkerProcess
from device.client.address import DeviceAddress
from device.client.connection import Connection, last_line
from device.client.request import request_device

#: Said of a session that ended by itself; TVM's own words are about its protocol.
LOST = "the device went away, or what ran there crashed"

#: Some networks are compiled there when they are loaded, or with their first frame.
LONGEST_SECONDS = 600.0
# To say who it is, once it is free: one that was stopped for a minute goes on.
_SECONDS_TO_OPEN = 120.0
# A device has to be free again between two sessions of one run, which takes it some seconds.
_SECONDS_TO_FREE, _SECONDS_TO_WAIT = 30.0, 60.0


class DeviceSession:
    """A session on the device at ``address``, all that runs there in one process of the device, on
    its ``threads`` fastest cores: a device serves one client at a time.

    With ``most_seconds`` the device ends a session after so long, whatever it does: that frees it
    from a kernel that never ends. Then the session is opened anew after half of that time, and when
    it was lost; so nothing that a task leaves on the device is sure to be there for the next one.
    Without, a session that is lost stays so.

    Attributes:
        address: where the device is found.
        facts: what it says of itself (:func:`device.server.machine.describe_machine`); {} until the
            session is open, and where the device is not served by ``device/serve.py``.
        gone: why it can be asked no more; "" while it can.
    """

    def __init__(self, address: DeviceAddress, threads: int, most_seconds: float = 0.0) -> None:
        self.address = address
        self.facts: dict[str, Any] = {}
        self.gone = ""
        self._request = address, threads, most_seconds
        self._most_seconds = most_seconds
        self._process: WorkerProcess | None = None
        self._until = 0.0
        self._is_closed = False

    def open(self) -> Outcome:
        """Open the session, or another one in its place, once the device is free; its facts."""
        if self._is_closed:
            raise RuntimeError(f"the session on {self.address} is closed")
        if self.gone:
            return Outcome(error=self.gone, crashed=True)
        if self._process is None:
            self._process = WorkerProcess(import_tvm_alone)
        wait = self._most_seconds + _SECONDS_TO_FREE if self._most_seconds else _SECONDS_TO_WAIT
        outcome = self._run(_open, *self._request, wait, seconds=wait + _SECONDS_TO_OPEN)
        if outcome.error and self._process is None:
            # Its process was ended: it was silent, which is not its fault.
            outcome = replace(outcome, error=_silent(self.address, outcome.error))
            self.gone = self.gone and outcome.error
        if not outcome.error:
            self.facts = outcome.value
            half = self._most_seconds / 2 or float("inf")
            self._until = time.monotonic() + half
        return outcome

    def run(
        self, function: Callable[..., Any], *arguments: Any, seconds: float = LONGEST_SECONDS
    ) -> Outcome:
        """Run ``function(connection, *arguments)`` in the session's process, for ``seconds`` at
        most; ``connection`` is the :class:`device.client.connection.Connection`.

        The outcome's ``crashed`` is set where the session was lost or nothing came back in time, so
        that either the device or what ran there is to blame.
        """
        if self.gone or self._is_closed or time.monotonic() >= self._until:
            opened = self.open()
            if opened.error:
                return opened
        return self._run(_in_session, function, *arguments, seconds=seconds)

    def check_runs(self, target: str, needs: TargetNeeds) -> None:
        """Raise where what is or shall be built for ``target`` cannot run on the device.

        Raises:
            TargetError: code of another architecture, instructions that the device lacks, or no GPU
                that can run it.
            WorkerError: the session was lost.
        """
        reason = self.run(Connection.why_not, needs).get()
        if reason is not None:
            raise wrong_target(target, self.address, reason)

    def close(self) -> None:
        """End the session, whatever the device does; it is free for the next client."""
        self._is_closed = True
        if self._process is not None:
            # A client that says goodbye leaves no error behind in the log of the device.
            self._process.close()

    def _run(self, function: Callable[..., Any], *arguments: Any, seconds: float) -> Outcome:
        process = self._process
        assert process is not None  # `open` has started it.
        outcome = process.run(function, *arguments, seconds=seconds)
        if outcome.value is not None:
            outcome = Outcome(*outcome.value)
        if outcome.crashed:
            self._until = 0.0
            if not process.is_alive():
                self._process = None
            if not self._most_seconds:
                self.gone = outcome.error
        return outcome


def _silent(address: DeviceAddress, why: str) -> str:
    return (
        f"{address} is registered but does not answer ({why}): see whether it is stopped, hangs or "
        "is behind a firewall, and start device/serve.py there again"
    )


def wrong_target(target: str, address: DeviceAddress, reason: str) -> TargetError:
    """Make the error where what is built for ``target`` does not run there, for a ``reason``."""
    return TargetError(
        f"what is built for target {target} does not run on {address}: {reason}; name the device's "
        "target, such as linux-arm64 (python compile/build.py --target help)"
    )


_connection: Connection | None = None


def _open(
    address: DeviceAddress, threads: int, most_seconds: float, wait_seconds: float
) -> tuple[dict[str, Any] | None, str, bool]:
    """As :func:`_in_session`, of the device's facts."""
    global _connection
    # A session lives until nothing here refers to anything there.
    _connection = None
    gc.collect()
    try:
        session = request_device(address, most_seconds, wait_seconds)
        _connection = Connection(session, threads)
    except (MqnetError, RuntimeError, OSError) as error:
        return None, str(error) if isinstance(error, MqnetError) else last_line(error), True
    return _connection.facts, "", False


def _in_session(function: Callable[..., Any], *arguments: Any) -> tuple[Any, str, bool]:
    """Value, error, and whether the session was lost: the fields of an outcome."""
    assert _connection is not None
    try:
        return function(_connection, *arguments), "", False
    except MqnetError as error:
        return None, str(error), False
    except (RuntimeError, OSError) as error:
        if _connection.answers():
            return None, f"failed on the device: {last_line(error)}", False
        return None, LOST, True
