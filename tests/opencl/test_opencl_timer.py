"""The device's own time, by its events."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from opencl_kernels import TARGET, add_module, check_add, conv_module, draw_input
from tvm import relax, te
from tvm.s_tir import Schedule


def _slow_library(rounds: int) -> tvm.runtime.Module:
    """A kernel of one work item that computes `rounds` times as long as one of one round."""
    a = te.placeholder((1000,), "float32", "a")
    axis = te.reduce_axis((0, 1000 * rounds), "axis")
    total = te.compute((1,), lambda i: te.sum(a[(axis * 7 + i) % 1000], axis), "total")
    schedule = Schedule(te.create_prim_func([a, total]))
    loop, _ = schedule.get_loops(schedule.get_sblock("total"))
    schedule.bind(loop, "threadIdx.x")
    return tvm.compile(schedule.mod, target=TARGET).jit()


def test_more_work_takes_more_time(opencl: tvm.runtime.Device):
    a = tvm.runtime.tensor(draw_input((1000,)), opencl)
    total = tvm.runtime.empty((1,), "float32", opencl)
    seconds = []
    for rounds in (100, 1000):
        measure = _slow_library(rounds).time_evaluator("main", opencl, number=3, repeat=3)
        seconds.append(min(measure(a, total).results))
    assert 0 < seconds[0] < seconds[1] / 5


def test_a_network(opencl: tvm.runtime.Device):
    machine = relax.VirtualMachine(conv_module()[0], opencl)
    x = tvm.runtime.tensor(draw_input(), opencl)
    measured = machine.time_evaluator("main", opencl, number=3, repeat=5)(x)
    assert len(measured.results) == 5 and 0 < min(measured.results) < max(measured.results) < 1


def test_without_commands(opencl: tvm.runtime.Device):
    """A function that launches nothing takes none of the device's time."""
    a = te.placeholder((10,), "float32", "a")
    module = te.create_prim_func([a, te.compute((10,), lambda i: a[i] + 1, "b")])
    library = tvm.compile(module, target="llvm").jit()
    tensors = [tvm.runtime.tensor(np.zeros(10, "float32")) for _ in range(2)]
    measured = library.time_evaluator("main", opencl, number=1, repeat=2)(*tensors)
    assert measured.results == (0, 0)


def test_runs_are_right_while_timed_and_after(opencl: tvm.runtime.Device):
    """Timing changes the queue: what was enqueued before goes first."""
    library = add_module().jit()
    one = tvm.runtime.tensor(np.ones(1000, "float32"), opencl)
    total, other = (tvm.runtime.tensor(np.zeros(1000, "float32"), opencl) for _ in range(2))
    for _ in range(10):
        library["main"](total, one, other)
        library.time_evaluator("main", opencl, number=1, repeat=1)(other, one, total)
    np.testing.assert_array_equal(total.numpy(), np.full(1000, 20))
    check_add(opencl, add_module())


def test_an_error_while_timed(opencl: tvm.runtime.Device):
    """The timer goes with the error, and the next run is not timed."""
    library = add_module(dtype="float16").jit()
    half = tvm.runtime.empty((1000,), "float16", opencl)
    measure = library.time_evaluator("main", opencl, number=1, repeat=1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="cl_khr_fp16"):
            measure(half, half, half)
    check_add(opencl, add_module())
