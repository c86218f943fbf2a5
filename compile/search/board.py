"""One device of a farm, in a process of its own that holds the RPC session.

The session is opened when there is work, and anew now and then: the device ends a session after a
while whatever it does, which is what frees it from a kernel that never ends. A process that waits
for such a kernel is ended by its time limit, and the next task finds a new one.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
from tvm.rpc import RPCSession

from compile.search.build_candidates import FUNCTION
from compile.search.gpu_facts import gpu_facts
from compile.search.kernel_task import TaskArguments
from compile.search.runner import wrong_result
from compile.search.time_calls import time_library
from compile.search.worker_pool import Outcome, WorkerPool
from compile.support.errors import MqnetError
from device.client.get_function import offered
from device.client.request import DeviceAddress, request_device
from targets.timing_model import TimingModel

# Beyond the end of a session, until the device is free again.
_SECONDS_TO_FREE = 30.0


@dataclass(frozen=True)
class BoardOptions:
    """How a device is used.

    Attributes:
        address: where it is found.
        threads: that a kernel runs on.
        cooldown: seconds that it rests before each repetition.
        timing: of an emulated board, what makes cycles of its counts; None where time is time.
        opencl: kernels run on the device's GPU.
        task_seconds: that a library may take.
        session_seconds: after which the device ends a session, whatever it does: a kernel that
            never ends keeps it for so long. It is opened anew after half of them.
    """

    address: DeviceAddress
    threads: int
    cooldown: float = 0.0
    timing: TimingModel | None = None
    opencl: bool = False
    task_seconds: float = 60.0
    session_seconds: float = 240.0


class BoardGone(Exception):
    """There is no session: the device or its tracker is gone, or it stays in use."""


class Board:
    """A device. Each method gives an outcome; its ``crashed`` is set where the connection was lost
    or nothing came back in time, so that either the device or the library is to blame."""

    def __init__(self, options: BoardOptions) -> None:
        self._options = options
        self._pool = WorkerPool(1, _prepare, (options,))
        self._is_open = False

    def facts(self) -> Outcome:
        """What it says of itself."""
        return self._run(_facts)

    def measure(self, arguments: TaskArguments, library: Path) -> Outcome:
        """Seconds of one call, several times over."""
        return self._run(_measure, arguments, library)

    def check(self, arguments: TaskArguments, library: Path, expected: Path) -> Outcome:
        """Why the library's results are not those in ``expected``, or ""."""
        return self._run(_check, arguments, library, expected)

    def close(self) -> None:
        """End the session."""
        self._pool.close()

    def _run(self, task: Callable[..., Any], *arguments: Any) -> Outcome:
        if not self._is_open:
            seconds = self._options.session_seconds + _SECONDS_TO_FREE
            opened = self._guarded(seconds + self._options.task_seconds, _facts)
            if opened.error:
                return opened
        return self._guarded(self._options.task_seconds, task, *arguments)

    def _guarded(self, seconds: float, task: Callable[..., Any], *arguments: Any) -> Outcome:
        (outcome,) = self._pool.run(_guarded, [(task, *arguments)], seconds)
        if outcome.value is not None:
            outcome = Outcome(*outcome.value)
        self._is_open = not outcome.crashed
        return outcome


def _prepare(options: BoardOptions) -> None:
    global _options
    _options = options


@dataclass
class _Open:
    """A session that is open.

    Attributes:
        session: of TVM's RPC.
        facts: what the device says of itself.
        until: of the clock, when to open another one.
        key, tensors: arguments that are there, of which kernel.
        count: libraries that were sent.
    """

    session: RPCSession
    facts: dict[str, Any]
    until: float
    key: str = ""
    tensors: tuple[tvm.runtime.Tensor, ...] = ()
    count: int = 0


_open: _Open | None = None


def _guarded(task: Callable[..., Any], *arguments: Any) -> tuple[Any, str, bool]:
    """Value, error, and whether the session was lost: the fields of an outcome."""
    global _open
    try:
        return task(*arguments), "", False
    except BoardGone as error:
        return None, str(error), True
    except (RuntimeError, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        if _answers():
            return None, lines[-1][:300], False
        _open = None
        gc.collect()
        return None, f"crashed on the device ({lines[-1][:200]})", True


def _answers() -> bool:
    try:
        return _open is not None and _open.session.get_function("testing.echo") is not None
    except AttributeError:
        return True
    except (RuntimeError, OSError):
        return False


def _connected() -> _Open:
    global _open
    if _open is not None and time.monotonic() > _open.until:
        _open = None
        # A session lives until nothing here refers to anything there.
        gc.collect()
    if _open is None:
        try:
            seconds = _options.session_seconds
            session = request_device(_options.address, seconds, seconds + _SECONDS_TO_FREE)
            machine = offered(session, "mqnet.machine")
            if machine is None:
                raise BoardGone(
                    f"{_options.address} does not say what it is: serve it by device/serve.py"
                )
            facts = json.loads(machine())
            if _options.opencl:
                facts = gpu_facts(facts, json.loads(session.get_function("mqnet.opencl")()))
            session.get_function("mqnet.use_cores")(_options.threads)
        except (MqnetError, RuntimeError, OSError) as error:
            raise BoardGone(str(error).strip().splitlines()[-1]) from None
        _open = _Open(session, facts, time.monotonic() + seconds / 2)
    return _open


def _facts() -> dict[str, Any]:
    return _connected().facts


def _device(there: _Open) -> tvm.runtime.Device:
    return there.session.cl() if _options.opencl else there.session.cpu()


def _tensors(there: _Open, arguments: TaskArguments) -> tuple[tvm.runtime.Tensor, ...]:
    if there.key != arguments.key:
        device = _device(there)
        there.tensors = ()
        there.tensors = tuple(tvm.runtime.tensor(a, device) for a in arguments.draw())
        there.key = arguments.key
    return there.tensors


@contextmanager
def _uploaded(there: _Open, library: Path) -> Iterator[str]:
    """The library's name on the device, for a while."""
    # Each with a name of its own: a library that is loaded twice by one name is the first one.
    there.count += 1
    name = f"candidate{there.count}.so"
    there.session.upload(bytearray(library.read_bytes()), name)
    try:
        yield name
    finally:
        there.session.remove(name)


def _measure(arguments: TaskArguments, library: Path) -> tuple[float, ...]:
    there = _connected()
    tensors = _tensors(there, arguments)
    with _uploaded(there, library) as name:
        if _options.timing is None:
            module = there.session.load_module(name)
            return time_library(module, tensors, _device(there), _options.cooldown)
        count = there.session.get_function("mqnet.count_call")
        # A cycle of a nanosecond: the emulated core has no clock.
        return (_options.timing.cycles_of(json.loads(count(name, FUNCTION, *tensors))) * 1e-9,)


def _check(arguments: TaskArguments, library: Path, expected: Path) -> str:
    there = _connected()
    device = _device(there)
    tensors = [tvm.runtime.tensor(array, device) for array in arguments.draw()]
    with _uploaded(there, library) as name:
        there.session.load_module(name)[FUNCTION](*tensors)
    return wrong_result(tensors[arguments.inputs :], expected)
