"""The kernel calls of a frame as they were timed, with what the build's manifest knows of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.profiling.kernel_call import KernelCall
from compile.artefact.manifest import KernelSummary
from compile.artefact.reader import Artefact
from compile.graph.parts import COPY
from device.server.kernel_calls import TimedCall

# Of a network on two devices.
_COPY = KernelSummary(COPY, COPY, "", 0)


def kernels_of(artefact: Artefact) -> dict[str, KernelSummary]:
    """Return what the manifest says of each kernel, by its name, and of copies between devices."""
    return {kernel.name: kernel for kernel in artefact.manifest.kernels} | {COPY: _COPY}


def join_calls(artefact: Artefact, timed: Sequence[TimedCall]) -> list[KernelCall]:
    """Return the calls of a frame of ``artefact``, in order."""
    kernels = kernels_of(artefact)
    return [
        KernelCall(
            name=call.name,
            family=kernels[call.name].family,
            schedule=kernels[call.name].schedule,
            macs=kernels[call.name].macs,
            layers=described.layers,
            inputs=tuple(map(_shape, call.shapes[:-1])),
            output=f"{_shape(call.shapes[-1])} {call.dtypes[-1]}",
            moved_bytes=sum(map(_bytes, call.shapes, call.dtypes)),
            seconds=call.seconds,
        )
        for call, described in zip(timed, artefact.manifest.calls, strict=True)
    ]


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return int(np.prod(shape)) * np.dtype(dtype).itemsize


def _shape(shape: tuple[int, ...]) -> str:
    # Pictures have a batch of one in front, which says nothing.
    return "x".join(map(str, shape[1:] if shape[:1] == (1,) and len(shape) > 1 else shape))
