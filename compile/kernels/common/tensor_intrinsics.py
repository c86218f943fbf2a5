"""Which of TVM's own tensor intrinsics are imported with MetaSchedule."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import tvm

_PACKAGE = "tvm.s_tir.tensor_intrin"


@contextmanager
def tensor_intrinsics_of(*devices: str) -> Iterator[None]:
    """Around what imports all of TVM's tensor intrinsics: those of ``devices`` alone, by the names
    of TVM's files, such as "x86" and "arm_cpu"; CUDA's take a minute to parse."""
    if _PACKAGE in sys.modules:
        yield
        return
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(Path(tvm.__file__).parent / "s_tir" / "tensor_intrin")]
    sys.modules[_PACKAGE] = package
    try:
        for device in devices:
            importlib.import_module(f"{_PACKAGE}.{device}")
        yield
    finally:
        del sys.modules[_PACKAGE]
