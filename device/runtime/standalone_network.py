"""A network from its standalone form, called from Python as a program in C would call it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.support.errors import ArtefactError, MqnetError
from compile.support.frame import Frame

# Tensors that begin at a multiple of it are not copied.
_ALIGNMENT = 64


class OpenOptions(ctypes.Structure):
    """``NAME_options`` of the public header."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("threads", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("core_mask", ctypes.c_uint64),
    ]


class TensorFacts(ctypes.Structure):
    """``NAME_tensor`` of the public header."""

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

    def empty(self) -> NDArray[Any]:
        """Make an aligned array of this shape and dtype."""
        return aligned(np.empty(self.shape[: self.rank], np.dtype(self.dtype.decode())))


class FrameBuffer(ctypes.Structure):
    """``NAME_buffer`` of the public header."""

    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


class StandaloneLibrary:
    """The functions of ``libNAME.so``; statuses are returned as they are.

    Raises:
        ArtefactError: the library does not load.
    """

    def __init__(self, folder: Path, name: str) -> None:
        path = (folder / f"lib{name}.so").absolute()
        try:
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise ArtefactError(f"{path} does not load ({error}): build it again") from None
        self._name = name
        for role in ("input", "output"):
            self._function(role).restype = ctypes.POINTER(TensorFacts)
        for text in ("last_error", "status_text", "missing_feature"):
            self._function(text).restype = ctypes.c_char_p
        self._function("last_error").argtypes = [ctypes.c_uint64]
        self._function("version").restype = ctypes.c_uint32

    def version(self) -> int:
        """Return major << 16 | minor << 8 | patch of the interface."""
        return self._function("version")()

    def tensors(self, role: str) -> list[TensorFacts]:
        """List the descriptions of the inputs ("input") or outputs ("output")."""
        found: list[TensorFacts] = []
        while pointer := self._function(role)(len(found)):
            found.append(pointer.contents)
        return found

    def open(self, threads: int = 1, core_mask: int = 0, **changed: int) -> tuple[int, int]:
        """Open the network, with some fields of the options ``changed``: (status, handle)."""
        options = OpenOptions(ctypes.sizeof(OpenOptions), threads, 0, core_mask)
        for field, value in changed.items():
            setattr(options, field, value)
        handle = ctypes.c_uint64(-1)
        status = self._function("open")(ctypes.byref(options), ctypes.byref(handle))
        return status, handle.value

    def run(
        self, handle: int, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]
    ) -> int:
        """Compute ``outputs``, which have memory already; the status."""
        given, wanted = buffers_of(inputs), buffers_of(outputs)
        return self.run_buffers(handle, given, wanted)

    def run_buffers(self, handle: int, inputs: ctypes.Array, outputs: ctypes.Array) -> int:
        """Compute what ``outputs`` point to of what ``inputs`` point to; the status."""
        handle_argument = ctypes.c_uint64(handle)
        run = self._function("run")
        return run(handle_argument, inputs, len(inputs), outputs, len(outputs))

    def close(self, handle: int) -> int:
        """Close the handle; the status."""
        return self._function("close")(ctypes.c_uint64(handle))

    def last_error(self, handle: int) -> str:
        """Return what the last frame of the handle failed with."""
        return self._function("last_error")(handle).decode()

    def status_text(self, status: int) -> str:
        """Return the sentence for a status."""
        return self._function("status_text")(status).decode()

    def _function(self, name: str) -> Any:
        return getattr(self._library, f"{self._name}_{name}")


class StandaloneNetwork:
    """The network of a folder, on so many threads.

    Raises:
        ArtefactError: the library does not load.
        MqnetError: it cannot be opened, such as for too many threads.
    """

    def __init__(self, folder: Path, name: str, threads: int) -> None:
        self._library = StandaloneLibrary(folder, name)
        status, self._handle = self._library.open(threads)
        if status:
            raise MqnetError(
                f"{folder} cannot be opened with {threads} threads: "
                f"{self._library.status_text(status)}"
            )
        self._outputs = [facts.empty() for facts in self._library.tensors("output")]
        self._output_buffers = buffers_of(self._outputs)

    def set_inputs(self, frame: Frame) -> None:
        """Take ``frame``, of the network's shapes and dtypes."""
        self._inputs = [aligned(np.asarray(tensor, order="C")) for tensor in frame]
        self._input_buffers = buffers_of(self._inputs)

    def run(self) -> None:
        """Compute one frame.

        Raises:
            ArtefactError: it fails.
        """
        library = self._library
        status = library.run_buffers(self._handle, self._input_buffers, self._output_buffers)
        if status:
            raise ArtefactError(
                f"a frame failed: {library.status_text(status)} {library.last_error(self._handle)}"
            )

    def outputs(self) -> Frame:
        """Return those of the last frame, which the next one writes over."""
        return tuple(self._outputs)


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """Return ``array``, or a copy that begins where the library need not copy it."""
    if array.ctypes.data % _ALIGNMENT == 0 and array.flags.c_contiguous:
        return array
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def buffers_of(arrays: Sequence[NDArray[Any]]) -> ctypes.Array:
    """Describe ``arrays``, which have to live as long, to the library."""
    return (FrameBuffer * len(arrays))(*(FrameBuffer(a.ctypes.data, a.nbytes) for a in arrays))
