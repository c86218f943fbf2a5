"""Tensors of an OpenCL device: copies, views, workspaces, and that nothing is left of them."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import tvm
from opencl_kernels import (
    HOST_UNIFIED_MEMORY,
    TARGET,
    add_module,
    check_add,
    conv_module,
    draw_input,
    in_new_process,
    library_without,
)
from tvm import relax

# The allocators of C and of PoCL keep some pages back; one leaked copy of the smallest tensor here
# at each run would be as much.
_ALLOWED_GROWTH = 4 << 20


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float16", "int32", "float32", "int64"])
@pytest.mark.parametrize("shape", [(1,), (7,), (31, 33), (2, 3, 5, 7), (0, 4), ()])
def test_bytes_come_back(opencl: tvm.runtime.Device, dtype: str, shape: tuple[int, ...]):
    sent = np.random.default_rng(2).integers(0, 100, shape).astype(dtype)
    on_device = tvm.runtime.tensor(sent, opencl)
    back = on_device.copyto(opencl).numpy()
    assert back.dtype == sent.dtype
    np.testing.assert_array_equal(back, sent)


def test_views_begin_where_they_say(opencl: tvm.runtime.Device):
    everything = tvm.runtime.tensor(np.arange(100, dtype="int32"), opencl)
    middle = everything._create_view((10,), "int32", relative_byte_offset=4 * 33)
    np.testing.assert_array_equal(middle.numpy(), np.arange(33, 43))
    middle.copyfrom(np.full(10, -1, "int32"))
    end = everything._create_view((10,), "int32", relative_byte_offset=4 * 90)
    middle.copyto(end)
    expected = np.arange(100)
    expected[33:43] = expected[90:] = -1
    np.testing.assert_array_equal(everything.numpy(), expected)


def test_a_copy_waits_for_the_kernels_before_it(opencl: tvm.runtime.Device):
    """Each launch reads what the last one wrote; only the end is copied."""
    library = add_module()
    one = tvm.runtime.tensor(np.ones(1000, "float32"), opencl)
    total, other = (tvm.runtime.tensor(np.zeros(1000, "float32"), opencl) for _ in range(2))
    for _ in range(100):
        library["main"](total, one, other)
        library["main"](other, one, total)
    np.testing.assert_array_equal(total.numpy(), np.full(1000, 200))


def test_workspaces(opencl: tvm.runtime.Device):
    """A function of two kernels keeps what passes between them in a workspace."""
    a = tvm.te.placeholder((100,), "float32", "a")
    between = tvm.te.compute((100,), lambda i: a[i] * 2, "between")
    result = tvm.te.compute((100,), lambda i: between[99 - i] + 1, "result")
    schedule = tvm.s_tir.Schedule(tvm.te.create_prim_func([a, result]))
    for name in ("between", "result"):
        (loop,) = schedule.get_loops(schedule.get_sblock(name))
        schedule.bind(loop, "threadIdx.x")
    library = tvm.compile(schedule.mod, target=TARGET)
    sent = draw_input((100,))
    device_a, device_result = (
        tvm.runtime.tensor(sent, opencl),
        tvm.runtime.empty((100,), "float32", opencl),
    )
    for _ in range(3):
        library["main"](device_a, device_result)
        np.testing.assert_array_equal(device_result.numpy(), sent[::-1] * 2 + 1)


def test_too_large_for_the_device(opencl: tvm.runtime.Device):
    with pytest.raises(RuntimeError) as caught:
        tvm.runtime.empty((1 << 45,), "int8", opencl)
    assert re.match(
        r"device 0 \(.+\) cannot give a buffer of 35184372088832 bytes \(.+\): CL_\w+ \(-\d+\); "
        "use a smaller picture",
        str(caught.value),
    )
    check_add(opencl, add_module())


def test_two_devices(opencl: tvm.runtime.Device):
    """PoCL makes two devices of one CPU; each has its context and its queue."""
    said = in_new_process(
        """
import numpy as np
from opencl_kernels import add_module, check_add
first, second = tvm.opencl(0), tvm.opencl(1)
assert second.exist and not tvm.opencl(2).exist
library = add_module()
check_add(first, library)
check_add(second, library)
sent = np.arange(1000, dtype="float32")
on_first = tvm.runtime.tensor(sent, first)
on_second = on_first.copyto(second)
np.testing.assert_array_equal(on_second.numpy(), sent)
total = tvm.runtime.empty((1000,), "float32", first)
try:
    library["main"](on_first, on_second, total)
except Exception as error:
    print("refused:", error)
check_add(first, library)
""",
        POCL_DEVICES="basic pthread",
    )
    assert "refused:" in said


def test_a_device_with_memory_of_its_own(opencl: tvm.runtime.Device, tmp_path: Path):
    """PoCL has none, so a library before it says that its device is one: buffers are copied."""
    in_new_process(
        """
import numpy as np
from opencl_kernels import add_module, check_add
device = tvm.opencl(0)
assert tvm.get_global_func("mqnet.opencl.describe_device")(0)["shares_memory"] is False
check_add(device, add_module())
everything = tvm.runtime.tensor(np.arange(100, dtype="int32"), device)
middle = everything._create_view((10,), "int32", relative_byte_offset=4 * 33)
np.testing.assert_array_equal(middle.numpy(), np.arange(33, 43))
middle.copyfrom(np.zeros(10, "int32"))
expected = np.arange(100)
expected[33:43] = 0
np.testing.assert_array_equal(everything.copyto(device).numpy(), expected)
""",
        MQNET_OPENCL_LIBRARY=library_without(HOST_UNIFIED_MEMORY, tmp_path),
    )


def test_nothing_is_left_of_a_thousand_runs(opencl: tvm.runtime.Device):
    machine = relax.VirtualMachine(conv_module()[0], opencl)
    library = add_module()
    picture = draw_input()

    def run_once() -> None:
        machine["main"](tvm.runtime.tensor(picture, opencl)).numpy()
        check_add(opencl, library)
        tvm.runtime.empty((1 << 20,), "int8", opencl)

    assert _growth(run_once, 1000) < _ALLOWED_GROWTH


def test_nothing_is_left_of_timers(opencl: tvm.runtime.Device):
    library = add_module().jit()
    tensors = [tvm.runtime.empty((1000,), "float32", opencl) for _ in range(3)]
    measure = library.time_evaluator("main", opencl, number=10, repeat=100)
    assert _growth(lambda: measure(*tensors), 100) < _ALLOWED_GROWTH


def test_nothing_is_left_of_modules(opencl: tvm.runtime.Device, tmp_path: Path):
    path = tmp_path / "add.so"
    add_module().export_library(str(path))

    def load_and_run() -> None:
        check_add(opencl, tvm.runtime.load_module(str(path)))

    assert _growth(load_and_run, 100) < _ALLOWED_GROWTH


# CL_DEVICE_HOST_UNIFIED_MEMORY is 0x1035; everything else is found in the library behind.
def _growth(run_once: Callable[[], None], times: int) -> int:
    """Bytes that the process grows by, after as many runs again in which pools fill up."""
    process = psutil.Process()

    def resident_after_runs() -> int:
        for _ in range(times):
            run_once()
        gc.collect()
        return process.memory_info().rss

    before = resident_after_runs()
    return resident_after_runs() - before
