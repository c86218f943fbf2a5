"""Kernels that TVM generates, on an OpenCL device: right to the bit where they add integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm
from opencl_kernels import (
    TARGET,
    add_module,
    check_add,
    conv_module,
    draw_input,
    in_new_process,
)
from tvm import relax, te
from tvm.s_tir import Schedule, dlight


@pytest.mark.parametrize("length", [1, 7, 8, 9, 31, 32, 33, 1000])
def test_add_of_awkward_sizes(opencl: tvm.runtime.Device, length: int):
    check_add(opencl, add_module(length), length)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float64"])
def test_add_of_other_types(opencl: tvm.runtime.Device, dtype: str):
    a = np.arange(100).astype(dtype)
    total = tvm.runtime.empty((100,), dtype, opencl)
    add_module(100, dtype)["main"](
        tvm.runtime.tensor(a, opencl), tvm.runtime.tensor(a[::-1].copy(), opencl), total
    )
    np.testing.assert_array_equal(total.numpy(), a + a[::-1])


def test_network(opencl: tvm.runtime.Device):
    executable, in_numpy = conv_module()
    machine = relax.VirtualMachine(executable, opencl)
    for seed in range(3):
        x = draw_input() + seed
        result = machine["main"](tvm.runtime.tensor(x, opencl)).numpy()
        np.testing.assert_allclose(result, in_numpy(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [1, 33, 1000])
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_numbers_as_arguments(opencl: tvm.runtime.Device, length: int, index: str):
    """Sizes that are known at run time only are arguments of the kernel, as is a factor."""
    size = te.var("size", index)
    a = te.placeholder((size,), "float32", "a")
    factor = te.var("factor", "float32")
    scaled = te.compute((size,), lambda i: a[i] * factor, "scaled")
    module = tvm.IRModule({"main": te.create_prim_func([a, factor, scaled])})
    with TARGET:
        module = dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(module)
    library = tvm.compile(module, target=TARGET)
    sent = draw_input((length,))
    result = tvm.runtime.empty((length,), "float32", opencl)
    library["main"](tvm.runtime.tensor(sent, opencl), 1.5, result)
    np.testing.assert_array_equal(result.numpy(), sent * np.float32(1.5))


def test_three_dimensions(opencl: tvm.runtime.Device):
    a = te.placeholder((3, 5, 14), "float32", "a")
    turned = te.compute((14, 5, 3), lambda i, j, k: a[k, j, i], "turned")
    schedule = Schedule(te.create_prim_func([a, turned]))
    for axis, loop in zip("zyx", schedule.get_loops(schedule.get_sblock("turned")), strict=True):
        blocks, items = schedule.split(loop, [None, 2])
        schedule.bind(blocks, f"blockIdx.{axis}")
        schedule.bind(items, f"threadIdx.{axis}")
    sent = draw_input((3, 5, 14))
    result = tvm.runtime.empty((14, 5, 3), "float32", opencl)
    tvm.compile(schedule.mod, target=TARGET)["main"](tvm.runtime.tensor(sent, opencl), result)
    np.testing.assert_array_equal(result.numpy(), sent.transpose())


def test_a_library_in_another_process(opencl: tvm.runtime.Device, tmp_path: Path):
    executable, in_numpy = conv_module()
    executable.export_library(str(tmp_path / "network.so"))
    said = in_new_process(f"""
import os
import numpy as np
from opencl_kernels import draw_input
from tvm import relax
os.chdir({str(tmp_path)!r})
device = tvm.opencl(0)
machine = relax.VirtualMachine(tvm.runtime.load_module("network.so"), device)
np.save("result.npy", machine["main"](tvm.runtime.tensor(draw_input(), device)).numpy())
""")
    assert said == ""
    result = np.load(tmp_path / "result.npy")
    np.testing.assert_allclose(result, in_numpy(draw_input()), rtol=1e-5, atol=1e-5)


def test_threads_launch_one_kernel(opencl: tvm.runtime.Device):
    """Arguments are state of OpenCL's kernel object: no launch may see another thread's."""
    from concurrent.futures import ThreadPoolExecutor

    library = add_module()
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(_add_number, opencl, library, number) for number in range(200)]
    for job in jobs:
        job.result()


def _add_number(device: tvm.runtime.Device, library: tvm.runtime.Executable, number: int) -> None:
    a = tvm.runtime.tensor(np.full(1000, number, "float32"), device)
    total = tvm.runtime.empty((1000,), "float32", device)
    library["main"](a, a, total)
    np.testing.assert_array_equal(total.numpy(), np.full(1000, 2 * number))


def test_the_source_can_be_read(opencl: tvm.runtime.Device):
    (module,) = add_module().mod.imports
    assert module.kind == "opencl"
    assert "__kernel void main_kernel" in module.inspect_source()
