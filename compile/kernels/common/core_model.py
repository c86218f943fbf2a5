"""What a schedule needs to know of what runs its kernel: of a processor's core, here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol


class CoreModel(Protocol):
    """What every device's core model has.

    Attributes:
        device: by which :mod:`compile.kernels.families` knows the device's kernel families.
    """

    device: ClassVar[str]

    @property
    def recompute_bytes(self) -> int | None:
        """A feature map that is read twice is computed twice where it takes more memory than this;
        None: it never is."""
        ...


@dataclass(frozen=True)
class CpuCore:
    """What a default schedule needs to know of a core.

    Attributes:
        bits: width of a vector register.
        registers: number of architectural vector registers.
        threads: threads that run the kernel.
        l1d_bytes: level 1 data cache of a core.
        l2_bytes: level 2 cache of a core.
        recompute_bytes: see :class:`CoreModel`.
    """

    device: ClassVar[str] = "cpu"

    bits: int
    registers: int
    threads: int
    l1d_bytes: int = 32768
    l2_bytes: int = 524288
    recompute_bytes: int | None = None

    @property
    def lanes(self) -> int:
        """32-bit lanes of one register: accumulators are int32 or float32."""
        return self.bits // 32
