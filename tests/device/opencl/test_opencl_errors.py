"""Each thing that can be wrong is said in words, and the process goes on after it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tvm
from opencl_kernels import add_module, check_add, conv_module, in_new_process, source_edited
from tvm import relax, te
from tvm.s_tir import Schedule

_ALLOCATE = """
print(tvm.opencl(0).exist)
try:
    tvm.runtime.empty((1,), "int8", tvm.opencl(0))
except RuntimeError as error:
    print(error)
print(tvm.runtime.empty((1,), "int8", tvm.cpu()).shape)
"""


def test_no_library(opencl_plugin: Path):
    said = in_new_process(_ALLOCATE, MQNET_OPENCL_LIBRARY="libNoOpenCL.so:/no/such/libmali.so")
    assert said.startswith("False\nno OpenCL device: MQNET_OPENCL_LIBRARY names no library")
    assert "libNoOpenCL.so" in said and "/no/such/libmali.so" in said
    assert said.endswith("(1,)\n")


def test_no_opencl_in_the_library(opencl_plugin: Path):
    said = in_new_process(_ALLOCATE, MQNET_OPENCL_LIBRARY="libc.so.6")
    assert "libc.so.6 has no clBuildProgram" in said and said.endswith("(1,)\n")


def test_no_driver(opencl: tvm.runtime.Device, tmp_path: Path):
    said = in_new_process(_ALLOCATE, OCL_ICD_VENDORS=str(tmp_path))
    assert said.startswith("False\nno OpenCL device: install the driver of this machine's GPU")
    assert "libOpenCL.so.1 knows no device" in said and "libmali.so" in said
    assert said.endswith("(1,)\n")


def test_no_such_device(opencl: tvm.runtime.Device):
    assert not tvm.opencl(7).exist
    with pytest.raises(RuntimeError, match="no OpenCL device 7: this machine has 1, counted from"):
        tvm.runtime.empty((1,), "int8", tvm.opencl(7))
    check_add(opencl, add_module())


def test_a_process_that_was_forked_too_late(opencl: tvm.runtime.Device):
    said = in_new_process("""
import os
from opencl_kernels import add_module, check_add
library = add_module()
check_add(tvm.opencl(0), library)
tensor = tvm.runtime.empty((1,), "int8", tvm.opencl(0))
if os.fork() == 0:
    try:
        tvm.runtime.empty((1,), "int8", tvm.opencl(0))
    except RuntimeError as error:
        print(error, flush=True)
    # What the parent holds is the parent's to give back.
    del tensor, library
    os._exit(0)
print("child", os.wait()[1], flush=True)
check_add(tvm.opencl(0), library)
""")
    assert "forked from one that had already used OpenCL" in said
    assert "child 0" in said


def test_a_process_that_was_forked_in_time(opencl: tvm.runtime.Device):
    said = in_new_process("""
import os
from opencl_kernels import add_module, check_add
library = add_module()
if os.fork() == 0:
    check_add(tvm.opencl(0), library)
    os._exit(0)
print("child", os.wait()[1])
""")
    assert "child 0" in said


def test_no_fp16(opencl: tvm.runtime.Device):
    if tvm.get_global_func("mqnet.opencl.describe_device")(0)["fp16"]:
        pytest.skip("this device has fp16")
    a = tvm.runtime.tensor(np.ones(1000, "float16"), opencl)
    with pytest.raises(RuntimeError) as caught:
        add_module(dtype="float16")["main"](a, a, tvm.runtime.empty((1000,), "float16", opencl))
    assert re.fullmatch(
        r"kernel main_kernel computes in fp16, and device 0 \(.+\) has no cl_khr_fp16: "
        "build without fp16",
        str(caught.value),
    )
    check_add(opencl, add_module())


def test_work_group_too_large(opencl: tvm.runtime.Device):
    most = opencl.max_threads_per_block
    target = tvm.target.Target(
        {"kind": "opencl", "device": "mali", "max_threads_per_block": 4 * most},
        host={"kind": "llvm"},
    )
    a = te.placeholder((8 * most,), "float32", "a")
    doubled = te.compute((8 * most,), lambda i: a[i] * 2, "doubled")
    schedule = Schedule(te.create_prim_func([a, doubled]))
    (loop,) = schedule.get_loops(schedule.get_sblock("doubled"))
    blocks, items = schedule.split(loop, [None, 2 * most])
    schedule.bind(blocks, "blockIdx.x")
    schedule.bind(items, "threadIdx.x")
    library = tvm.compile(schedule.mod, target=target)
    data = tvm.runtime.empty((8 * most,), "float32", opencl)
    with pytest.raises(RuntimeError) as caught:
        library["main"](data, data)
    assert re.search(
        rf"kernel main_kernel has work groups of {2 * most}x1x1 = {2 * most} items, and device 0 "
        rf"\(.+\) takes {most} .+: build for a target with a smaller max_threads_per_block",
        str(caught.value),
    )
    check_add(opencl, add_module())


def test_a_kernel_that_does_not_compile(opencl: tvm.runtime.Device):
    """Of a network's kernels the one at fault is named, and its source is where the error says."""
    with source_edited(r"(void conv2d1_kernel\([^;]*\) \{)", r"\1\n  int broken = ;"):
        executable, _ = conv_module()
    machine = relax.VirtualMachine(executable, opencl)
    with pytest.raises(RuntimeError) as caught:
        machine["main"](tvm.runtime.empty((1, 3, 13, 11), "float32", opencl))
    text = str(caught.value)
    found = re.match(
        r"kernel conv2d1_kernel does not compile for device 0 \(.+\): "
        r"CL_BUILD_PROGRAM_FAILURE \(-11\); its source: (/.+\.cl)\n",
        text,
    )
    assert found, text
    assert "int broken = ;" in Path(found[1]).read_text()
    assert "error" in text[found.end() :]
    check_add(opencl, add_module())


def test_bytes_that_are_no_module(opencl: tvm.runtime.Device):
    load = tvm.get_global_func("ffi.Module.load_from_bytes.opencl")
    with pytest.raises(RuntimeError, match="an OpenCL module is cut short"):
        load(b"\x02\0\0\0\0\0\0\0c")
    with pytest.raises(RuntimeError, match="in format 'xx': only source"):
        load(b"\x02\0\0\0\0\0\0\0xx" + bytes(16))
