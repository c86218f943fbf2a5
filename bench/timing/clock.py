"""What this machine can do at most: its clock and its memory, measured where it runs."""

from __future__ import annotations

import os
import time

import numpy as np
import tvm
from tvm.script import tirx as T

from compile.errors import MqnetError

_STEPS = 10_000_000
# imul has a latency of 3 cycles and xor of 1 on every x86-64 core since 2008 (Agner Fog,
# "Instruction tables"). With an add in place of the xor LLVM would make one step of ten.
_CYCLES_PER_STEP = 4
_TRIES = 5
_COPIED_BYTES = 1 << 28


@T.prim_func(s_tir=True)
def _chain(x: T.Buffer((1,), "int64")):
    """Each step needs the one before: its time is a latency and nothing else."""
    for _ in range(10_000_000):
        with T.sblock("step"):
            x[0] = T.bitwise_xor(x[0] * T.int64(6364136223846793005), T.int64(1442695040888963407))


def clock_hz() -> float:
    """Cycles per second of the core that this runs on, while it is busy.

    Raises:
        MqnetError: not x86-64, whose latencies are known.
    """
    if os.uname().machine != "x86_64":
        raise MqnetError("the clock is measured by x86-64's latencies: run this on such a machine")
    chain = tvm.compile(_chain, "llvm")["_chain"]
    x = tvm.runtime.tensor(np.ones(1, np.int64))
    return _STEPS * _CYCLES_PER_STEP / _fastest(lambda: chain(x))


def copy_bytes_per_second() -> float:
    """Bytes read and written per second by one core that copies more than any cache holds."""
    source = np.ones(_COPIED_BYTES, np.uint8)
    target = np.empty_like(source)
    return 2 * _COPIED_BYTES / _fastest(lambda: np.copyto(target, source))


def _fastest(run: object) -> float:
    seconds = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
