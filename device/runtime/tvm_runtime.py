"""TVM's runtime through its FFI alone: all that a build needs to be run.

The package `tvm` is the compiler, too. To import it takes a second, and this a tenth of one. Where
the package is imported all the same, before or later, both speak to the same runtime.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.support.quick_start import import_runtime_alone

import_runtime_alone()

import tvm_ffi  # noqa: E402 (without PyTorch, which it imports where it can)
from tvm_ffi import Device, Tensor  # noqa: E402
from tvm_ffi.libinfo import load_lib_ctypes  # noqa: E402

PROCESSOR = tvm_ffi.device("cpu", 0)

# VirtualMachine.POOLED_ALLOCATOR
_POOLED = 2


def runtime_function(name: str) -> tvm_ffi.Function:
    """The function of TVM's runtime that is registered as ``name``."""
    function = find_function(name)
    assert function is not None
    return function


def find_function(name: str) -> tvm_ffi.Function | None:
    """The function that the runtime, or what was loaded into it, has registered as ``name``."""
    load_runtime()
    return tvm_ffi.get_global_func(name, allow_missing=True)


def device_named(kind: str) -> Device:
    """The first device of a kind: "cpu" or "opencl"."""
    return tvm_ffi.device(kind, 0)


def empty(shape: Sequence[int], dtype: Any, device: Device) -> Tensor:
    """A tensor in the memory of ``device``, aligned as kernels expect it."""
    allocate = runtime_function("runtime.TVMTensorAllocWithScope")
    return allocate(tvm_ffi.Shape(tuple(shape)), tvm_ffi.dtype(dtype), device, None)


def to_device(array: NDArray[Any], device: Device) -> Tensor:
    """A copy of ``array`` in the memory of ``device``."""
    there = empty(array.shape, array.dtype, device)
    array = np.ascontiguousarray(array)
    data = array.ctypes.data_as(ctypes.c_void_p)
    runtime_function("runtime.TVMTensorCopyFromBytes")(there, data, array.nbytes)
    return there


def to_array(tensor: Tensor) -> NDArray[Any]:
    """``tensor`` where it is, in the memory of a processor; out of a GPU's, a copy."""
    if tensor.device == PROCESSOR:
        return np.from_dlpack(tensor)
    here = empty(tensor.shape, tensor.dtype, PROCESSOR)
    copy_tensor(tensor, here)
    synchronize(tensor.device)
    return np.from_dlpack(here)


def copy_tensor(source: Tensor, target: Tensor) -> None:
    """Copy ``source`` to ``target`` of the same shape, on any two devices."""
    runtime_function("runtime.TVMTensorCopyFromTo")(source, target)


def synchronize(device: Device) -> None:
    """Wait until ``device`` has done what it was told."""
    runtime_function("runtime.Device_StreamSync")(device, 0)


def free_memory() -> None:
    """Give back the memory that virtual machines keep for their next frames."""
    runtime_function("vm.builtin.memory_manager.clear")()


def load_machine(library: Path, device: Device) -> tvm_ffi.Module:
    """Relax's virtual machine with the functions of ``library``, for ``device``.

    Raises:
        RuntimeError, OSError, AttributeError: the library does not load, or is none of TVM's.
    """
    load_runtime()
    machine = tvm_ffi.load_module(str(library.absolute()))["vm_load_executable"]()
    # The processor computes shapes, whatever computes the rest.
    devices = [device] if device == PROCESSOR else [device, PROCESSOR]
    facts = [(one.dlpack_device_type(), one.index, _POOLED) for one in devices]
    machine["vm_initialization"](*(number for one in facts for number in one))
    return machine


@cache
def load_runtime() -> None:
    """Load the library as `import tvm` does, which has done so where it was imported."""
    if "tvm" in sys.modules:
        return
    package = importlib.util.find_spec("tvm")
    assert package is not None and package.submodule_search_locations is not None
    folders = [Path(folder) / "lib" for folder in package.submodule_search_locations]
    load_lib_ctypes("tvm", "tvm_runtime", "RTLD_GLOBAL", extra_lib_paths=folders)
