"""A kernel call of a frame as plain data: what it computes and moves, and how long it takes."""

from __future__ import annotations

from typing import Annotated

import msgspec


class KernelCall(msgspec.Struct, frozen=True):
    """One call of a frame.

    Attributes:
        name, family, schedule, macs: of the kernel, see
            :class:`compile.artefact.manifest.KernelSummary`.
        layers: of the network, see :class:`compile.artefact.manifest.CallSummary`.
        inputs: shapes of what it reads, such as "64x64x32", weights included.
        output: shape and dtype of what it writes.
        moved_bytes: of all its arguments, each counted once.
        seconds: median over the frames.
    """

    name: str
    family: str
    schedule: str
    macs: int
    layers: tuple[str, ...]
    inputs: tuple[str, ...]
    output: str
    moved_bytes: int
    seconds: Annotated[float, msgspec.Meta(gt=0)]

    @property
    def macs_per_second(self) -> float:
        """Its speed; 0 where it multiplies nothing."""
        return self.macs / self.seconds
