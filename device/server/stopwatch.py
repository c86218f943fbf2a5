"""How long a device works, by its own clock where it has one."""

from __future__ import annotations

import time
from collections.abc import Callable

import tvm

_NANOSECOND = 1e-9


def start_stopwatch(device: tvm.runtime.Device) -> Callable[[], float]:
    """A function that says, once, for how many seconds the ``device`` has worked since now: a
    processor by the wall clock, OpenCL by its profiling events, from the beginning of its first
    command to the end of its last one, so that what the host takes to launch them is not in it."""
    if device.dlpack_device_type() == tvm.cpu().dlpack_device_type():
        begin = time.perf_counter()
        return lambda: time.perf_counter() - begin
    start, stop = map(tvm.get_global_func, ("mqnet.opencl.start_timer", "mqnet.opencl.stop_timer"))
    timer = start(device)
    return lambda: stop(timer) * _NANOSECOND
