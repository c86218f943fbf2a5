"""The kernel calls of a frame as they were timed, with what the build's manifest knows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.profile.kernel_call import KernelCall
from compile.artefact.artefact import Artefact
from compile.graph.parts import COPY
from compile.support.errors import ArtefactError
from device.server.kernel_calls import TimedCall

# Of a network on two devices.
_COPY = {"name": COPY, "family": COPY, "schedule": "", "macs": 0}


def kernels_of(artefact: Artefact) -> dict[str, dict[str, Any]]:
    """What the manifest says of each kernel, by its name, and of copies between devices.

    Raises:
        ArtefactError: the artefact does not say which layers its calls compute.
    """
    if "calls" not in artefact.manifest:
        raise ArtefactError(
            f"{artefact.library} is of an older build, which does not know the layers of its "
            "kernels: build it again"
        )
    kernels = {kernel["name"]: _summary(kernel) for kernel in artefact.manifest["kernels"]}
    return kernels | {COPY: _COPY}


def describe_calls(artefact: Artefact, timed: Sequence[TimedCall]) -> list[KernelCall]:
    """The calls of a frame of ``artefact``, in order.

    Raises:
        ArtefactError: as :func:`kernels_of`.
    """
    kernels = kernels_of(artefact)
    layers = (tuple(call["layers"]) for call in artefact.manifest["calls"])
    return [
        KernelCall(
            **kernels[call.name],
            layers=of_call,
            inputs=tuple(map(_shape, call.shapes[:-1])),
            output=f"{_shape(call.shapes[-1])} {call.dtypes[-1]}",
            moved_bytes=sum(map(_bytes, call.shapes, call.dtypes)),
            seconds=call.seconds,
        )
        for call, of_call in zip(timed, layers, strict=True)
    ]


def _summary(kernel: Mapping[str, Any]) -> dict[str, Any]:
    """Without the part that it is of."""
    return {name: value for name, value in kernel.items() if name != "part"}


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return int(np.prod(shape)) * np.dtype(dtype).itemsize


def _shape(shape: tuple[int, ...]) -> str:
    # Pictures have a batch of one in front, which says nothing.
    return "x".join(map(str, shape[1:] if shape[:1] == (1,) and len(shape) > 1 else shape))
