"""Calls the standalone form's library from Python, as a C program would: through its header."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Options(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("threads", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("core_mask", ctypes.c_uint64),
    ]


class TensorFacts(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_char_p),
        ("layout", ctypes.c_char_p),
        ("rank", ctypes.c_uint32),
        ("zero_point", ctypes.c_int32),
        ("scale", ctypes.c_double),
        ("shape", ctypes.c_int64 * 8),
        ("bytes", ctypes.c_size_t),
    ]


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


class StandaloneLibrary:
    """``libNAME.so`` of a folder; statuses are returned as they are."""

    def __init__(self, folder: Path, name: str = "mqnet") -> None:
        self._library = ctypes.CDLL(str(folder / f"lib{name}.so"))
        self._name = name
        for role in ("input", "output"):
            self._function(role).restype = ctypes.POINTER(TensorFacts)
        for text in ("last_error", "status_text", "missing_feature"):
            self._function(text).restype = ctypes.c_char_p
        self._function("last_error").argtypes = [ctypes.c_uint64]
        self._function("version").restype = ctypes.c_uint32

    def version(self) -> int:
        return self._function("version")()

    def tensors(self, role: str) -> list[TensorFacts]:
        found = []
        while pointer := self._function(role)(len(found)):
            found.append(pointer.contents)
        return found

    def open(self, threads: int = 1, core_mask: int = 0, **changed: int) -> tuple[int, int]:
        """(status, handle)."""
        options = Options(ctypes.sizeof(Options), threads, 0, core_mask)
        for field, value in changed.items():
            setattr(options, field, value)
        handle = ctypes.c_uint64(-1)
        status = self._function("open")(ctypes.byref(options), ctypes.byref(handle))
        return status, handle.value

    def run(
        self, handle: int, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]
    ) -> int:
        """Fill ``outputs``; the status."""
        return self._function("run")(
            ctypes.c_uint64(handle),
            _buffers(inputs),
            len(inputs),
            _buffers(outputs),
            len(outputs),
        )

    def close(self, handle: int) -> int:
        return self._function("close")(ctypes.c_uint64(handle))

    def last_error(self, handle: int) -> str:
        return self._function("last_error")(handle).decode()

    def status_text(self, status: int) -> str:
        return self._function("status_text")(status).decode()

    def frame(self, inputs: Sequence[NDArray[Any]], threads: int = 1) -> list[NDArray[Any]]:
        """The outputs of one frame."""
        status, handle = self.open(threads)
        assert status == 0, self.status_text(status)
        outputs = self.empty_outputs()
        status = self.run(handle, inputs, outputs)
        assert status == 0, self.last_error(handle)
        assert self.close(handle) == 0
        return outputs

    def empty_outputs(self) -> list[NDArray[Any]]:
        """Arrays that no frame has written to."""
        outputs = []
        for facts in self.tensors("output"):
            outputs.append(np.empty(facts.shape[: facts.rank], np.dtype(facts.dtype.decode())))
            outputs[-1].view(np.uint8).fill(0xA5)
        return outputs

    def _function(self, name: str) -> Any:
        return getattr(self._library, f"{self._name}_{name}")


def _buffers(arrays: Sequence[NDArray[Any]]) -> ctypes.Array:
    return (Buffer * len(arrays))(*(Buffer(a.ctypes.data, a.nbytes) for a in arrays))
