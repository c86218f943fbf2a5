"""Small modules for OpenCL, built by TVM as any network is, and what NumPy makes of their input."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tvm
import tvm_ffi
from command_line import REPOSITORY
from tvm import relax, te
from tvm.s_tir import Schedule, dlight

TARGET = tvm.target.Target({"kind": "opencl", "device": "mali"}, host={"kind": "llvm"})
CONV_INPUT = (1, 3, 13, 11)

#: Of `clGetDeviceInfo`, true or false each.
IMAGE_SUPPORT, HOST_UNIFIED_MEMORY = 0x1016, 0x1035

_HOOK = "tvm_callback_opencl_postproc"


def program_counts() -> dict[str, int]:
    """How the plugin came by its programs so far."""
    return dict(tvm_ffi.get_global_func("mqnet.opencl.program_counts")().items())


def add_module(
    length: int = 1000, dtype: str = "float32", group: int = 64, constant: float = 0
) -> tvm.runtime.Executable:
    """`main(a, b, sum)`. Another constant makes another program."""
    a, b = (te.placeholder((length,), dtype, name) for name in "ab")
    total = te.compute((length,), lambda i: a[i] + b[i] + tvm.tirx.const(constant, dtype), "sum")
    schedule = Schedule(te.create_prim_func([a, b, total]))
    (loop,) = schedule.get_loops(schedule.get_sblock("sum"))
    blocks, items = schedule.split(loop, [None, group])
    schedule.bind(blocks, "blockIdx.x")
    schedule.bind(items, "threadIdx.x")
    return tvm.compile(schedule.mod, target=TARGET)


def conv_module() -> tuple[relax.VMExecutable, Callable[[np.ndarray], np.ndarray]]:
    """A network of three kernels, and the same in NumPy: conv 3x3, ReLU, conv 1x1 of stride 2."""
    draw = np.random.default_rng(0)
    first = draw.standard_normal((5, 3, 3, 3)).astype("float32")
    second = draw.standard_normal((7, 5, 1, 1)).astype("float32")
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(CONV_INPUT, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit(relax.op.nn.conv2d(x, relax.const(first), padding=1))
            y = builder.emit(relax.op.nn.relu(y))
            y = builder.emit(relax.op.nn.conv2d(y, relax.const(second), strides=2))
            y = builder.emit_output(y)
        builder.emit_func_output(y)
    with TARGET:
        module = relax.get_pipeline("zero")(builder.get())
        module = dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(module)

    def in_numpy(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        y = np.maximum(np.einsum("nchwyx,ocyx->nohw", windows, first), 0)
        return np.einsum("nchw,oc->nohw", y[:, :, ::2, ::2], second[:, :, 0, 0])

    return tvm.compile(module, target=TARGET), in_numpy


def draw_input(shape: tuple[int, ...] = CONV_INPUT) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype("float32")


def check_add(device: tvm.runtime.Device, library: tvm.runtime.Executable, length: int = 1000):
    """Runs `add_module()` on the device."""
    a, b = draw_input((length,)), draw_input((length,))[::-1].copy()
    total = tvm.runtime.empty((length,), "float32", device)
    library["main"](tvm.runtime.tensor(a, device), tvm.runtime.tensor(b, device), total)
    np.testing.assert_array_equal(total.numpy(), a + b)


@contextmanager
def source_edited(pattern: str, replacement: str) -> Iterator[None]:
    """One place in what is built meanwhile is not what TVM's code generator writes."""

    counts = []

    @tvm_ffi.register_global_func(_HOOK, override=True)
    def edit(source: str, target: tvm.target.Target) -> str:
        edited, count = re.subn(pattern, replacement, source)
        counts.append(count)
        return edited

    try:
        yield
    finally:
        tvm_ffi.registry.remove_global_func(_HOOK)
    assert sum(counts) == 1, counts


def library_without(ability: int, folder: Path) -> str:
    """An OpenCL library of which every device says that it has not this ability: for
    MQNET_OPENCL_LIBRARY."""
    source, library = folder / "without.c", folder / "without.so"
    source.write_text(_WITHOUT.format(ability=ability))
    link = ["-Wl,--no-as-needed", "-l:libOpenCL.so.1"]
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, *link], check=True)
    return str(library)


_WITHOUT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
int clGetDeviceInfo(void* device, unsigned what, size_t size, void* value, size_t* needed) {{
  int (*behind)(void*, unsigned, size_t, void*, size_t*) = dlsym(RTLD_NEXT, "clGetDeviceInfo");
  int code = behind(device, what, size, value, needed);
  if (what == {ability} && value != NULL) *(unsigned*)value = 0;
  return code;
}}
"""


def in_new_process(script: str, **environment: str) -> str:
    """What the script prints, run where nothing has used OpenCL yet; it has to succeed."""
    prelude = (
        "import sys; sys.path[:0] = ['tests/support']\n"
        "from device.opencl.autoload import load_plugin\n"
        "import tvm; load_plugin()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude + script],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
