"""Counts what an emulated core executes in a call; on a real one there is nobody to ask.

QEMU's plugin (`device/emulated/arm64/count_instructions.c`) answers system calls that Linux does
not have.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import tempfile

import numpy as np
import tvm

_WATCH, _READ_CALL = map(ctypes.c_long, (0x7F02, 0x7F03))
# By which TVM's compiler makes the symbol of a function.
_PREFIX = "__tvm_ffi_"
# A first call binds the library's symbols, a second one fills the caches, the third one counts.
_CALLS = 3
# The evaluator's other parameters: it measures once, and neither waits nor flushes anything.
_ONCE = (1, 0, 1, 0, 1, 0, "")
# No cache's sets repeat at a longer distance, so the arguments always fall into the same ones.
_ALIGNMENT = 1 << 21
_PAGE = 1 << 12


class _Call(ctypes.Structure):
    """What the second system call writes."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("calls", "instructions", "simd", "load_store", "dot_product"),
            *("millicycles", "l1d_misses", "l2_misses"),
        )
    ]


def count_call(path: str, name: str, *arguments: tvm.runtime.Tensor) -> str:
    """What one call of the library's function ``name`` costs that follows another one, as JSON:
    "instructions", of them "simd" (NEON and floating point), "load_store" and "dot_product" (sdot
    and its kin), thousandths of cycles as "millicycles", and the lines missed in the caches as
    "l1d_misses" and "l2_misses".

    Raises:
        RuntimeError: nobody counts, or without a model of the core's timing.
    """
    # QEMU sees the beginning of a function only while it translates it for the first time, and this
    # process may have run the library before: a copy is loaded to other addresses.
    with tempfile.NamedTemporaryFile(suffix=".so") as copy:
        shutil.copyfile(path, copy.name)
        module = tvm.runtime.load_module(copy.name)
        entry = ctypes.cast(ctypes.CDLL(copy.name)[_PREFIX + name], ctypes.c_void_p)
    placed, call = _placed(arguments), _Call()
    device = tvm.cpu()
    # TVM's evaluator calls from C++, so that no interpreter's work falls between two calls.
    kind, number = device.dlpack_device_type(), device.index
    evaluate = _evaluator(module, name, kind, number, _CALLS, *_ONCE)
    _system_call(_WATCH, entry)
    evaluate(*placed)
    _system_call(_READ_CALL, ctypes.byref(call))
    _system_call(_WATCH, None)
    # The evaluator has made one call more, from whose beginning the last one is counted.
    if call.calls != _CALLS:
        raise RuntimeError(
            "nobody counts here: QEMU runs without count_instructions.c, or without its options"
        )
    return json.dumps({field: getattr(call, field) for field, *_ in _Call._fields_})


def _placed(arguments: tuple[tvm.runtime.Tensor, ...]) -> list[tvm.runtime.Tensor]:
    """Copies whose addresses depend on nothing but their sizes."""
    arrays = [argument.numpy() for argument in arguments]
    offsets = np.cumsum([0, *(-(-array.nbytes // _PAGE) * _PAGE for array in arrays)]).tolist()
    memory = np.empty(offsets.pop() + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    placed = []
    for array, offset in zip(arrays, offsets, strict=True):
        place = memory[begin + offset :][: array.nbytes].view(array.dtype).reshape(array.shape)
        place[...] = array
        placed.append(tvm.runtime.from_dlpack(place))
    return placed


_evaluator = tvm.get_global_func("runtime.RPCTimeEvaluator")
_system_call = ctypes.CDLL(None).syscall
