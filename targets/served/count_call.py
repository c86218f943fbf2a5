"""Counts what an emulated core executes in a call; on a real one there is nobody to ask.

QEMU's plugin (`targets/emulator/count_instructions.c`) answers a system call that Linux does not
have.
"""

from __future__ import annotations

import ctypes
import json
from typing import Any

import tvm

_READ_COUNTERS = 0x7F01
_COUNTERS = ("instructions", "simd", "load_store", "dot_product")


def count_call(module: tvm.runtime.Module, name: str, *arguments: Any) -> str:
    """Instructions of one call, after one that is not counted, by class: "dot_product" (sdot and
    its kin), "simd" (the rest of NEON), "load_store" and "other".

    Raises:
        RuntimeError: nobody counts.
    """
    function = module[name]
    function(*arguments)
    # Its own call costs some, too; less where nothing is called.
    empty = _counted(lambda: None)
    total = {key: count - empty[key] for key, count in _counted(function, *arguments).items()}
    classes = {
        "dot_product": total["dot_product"],
        "simd": total["simd"] - total["dot_product"],
        "load_store": total["load_store"],
    }
    classes["other"] = total["instructions"] - sum(classes.values())
    return json.dumps(classes)


def _counted(function: Any, *arguments: Any) -> dict[str, int]:
    before, after = _read(), None
    function(*arguments)
    after = _read()
    return {name: after[i] - before[i] for i, name in enumerate(_COUNTERS)}


def _read() -> Any:
    counters = (ctypes.c_uint64 * len(_COUNTERS))()
    _system_call(ctypes.c_long(_READ_COUNTERS), counters)
    if not counters[0]:
        raise RuntimeError("nobody counts here: QEMU runs without count_instructions.c")
    return counters


_system_call = ctypes.CDLL(None).syscall
