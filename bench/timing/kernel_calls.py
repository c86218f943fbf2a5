"""The time of every kernel call of a frame, and what it computes and moves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.run_artefact import Session


@dataclass(frozen=True)
class KernelCall:
    """One call of a frame.

    Attributes:
        name, family, schedule, macs: of the kernel, see
            :class:`compile.describe_parts.KernelSummary`.
        inputs: shapes of what it reads, such as "64x64x32", weights included.
        output: shape and dtype of what it writes.
        moved_bytes: of all its arguments, each counted once.
        seconds: median over the frames.
    """

    name: str
    family: str
    schedule: str
    macs: int
    inputs: tuple[str, ...]
    output: str
    moved_bytes: int
    seconds: float


def time_kernel_calls(
    session: Session, image: NDArray[np.uint8], frames: int, warm_up: int = 3
) -> list[KernelCall]:
    """Every kernel call of a frame of ``image``, uint8 [H,W,3], in order."""
    kernels = {kernel["name"]: kernel for kernel in session.artefact.manifest["kernels"]}
    seconds: list[list[float]] = []
    calls: list[dict[str, Any]] = []
    start = 0.0

    def observe(name: str, before: bool, arguments: Sequence[Any]) -> None:
        nonlocal start
        if name not in kernels:
            return
        if before:
            start = time.perf_counter()
            return
        seconds[-1].append(time.perf_counter() - start)
        if len(seconds) == 1:
            calls.append(_describe(kernels[name], arguments))

    for _ in range(warm_up + frames):
        seconds.append([])
        session.run_observed(image, observe)
    medians = np.median(seconds[warm_up:], axis=0)
    return [KernelCall(**call, seconds=float(s)) for call, s in zip(calls, medians, strict=True)]


def _describe(kernel: dict[str, Any], arguments: Sequence[Any]) -> dict[str, Any]:
    *inputs, output = arguments
    return {
        **kernel,
        "inputs": tuple(_shape(tensor) for tensor in inputs),
        "output": f"{_shape(output)} {output.dtype}",
        "moved_bytes": sum(
            int(np.prod(tensor.shape)) * np.dtype(str(tensor.dtype)).itemsize
            for tensor in arguments
        ),
    }


def _shape(tensor: Any) -> str:
    extents = list(tensor.shape)
    # Pictures have a batch of one in front, which says nothing.
    return "x".join(map(str, extents[1:] if extents[:1] == [1] and len(extents) > 1 else extents))
