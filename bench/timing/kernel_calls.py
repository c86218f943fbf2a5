"""The time of every kernel call of a frame, and what it computes and moves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.timing.kernel_call import KernelCall
from compile.errors import ArtefactError
from compile.parts import COPY
from compile.run_artefact import Session


def time_kernel_calls(
    session: Session, image: NDArray[np.uint8], frames: int, warm_up: int = 3
) -> list[KernelCall]:
    """Every kernel call of a frame of ``image``, uint8 [H,W,3], in order.

    Raises:
        ArtefactError: the artefact does not say which layers its calls compute.
    """
    manifest = session.artefact.manifest
    if "calls" not in manifest:
        raise ArtefactError(
            f"{session.artefact.library} is of an older build, which does not know the layers of "
            "its kernels: build it again"
        )
    kernels = {kernel["name"]: _summary(kernel) for kernel in manifest["kernels"]}
    # Of a network on two devices.
    kernels[COPY] = {"name": COPY, "family": COPY, "schedule": "", "macs": 0}
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
    layers = (tuple(call["layers"]) for call in manifest["calls"])
    return [
        KernelCall(**call, layers=of_call, seconds=float(median))
        for call, of_call, median in zip(calls, layers, medians, strict=True)
    ]


def _summary(kernel: dict[str, Any]) -> dict[str, Any]:
    """Without the part that it is of."""
    return {name: value for name, value in kernel.items() if name != "part"}


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
