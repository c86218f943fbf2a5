"""A kernel family: what its kernels are called, how their loops are scheduled, what they fuse with.

A family is declared at the end of the file that computes or schedules its kernels, and collected in
:mod:`compile.kernels.families`. The passes, the tuner and the reports ask there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tvm import s_tir, tirx

from compile.kernels.common.kernel_function import FAMILY_ATTR


@dataclass(frozen=True)
class Fusion:
    """The kernels that a convolution's schedule can take into its loops.

    Attributes:
        producers: names of the families that may compute its data there.
        consumers: names of the families that may read its result there.
        elementwise: also the elementwise kernel that alone reads the result.
        int8_results: also where the result is int8, not only where it is float.
        recomputed: names of the families whose result, which one of the ``producers`` reads, may be
            computed there once more, instead of being kept since it was computed first; ...
        recomputing: ... and the family of the kernel that does so.
    """

    producers: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()
    elementwise: bool = False
    int8_results: bool = False
    recomputed: tuple[str, ...] = ()
    recomputing: str = ""


@dataclass(frozen=True)
class KernelFamily:
    """Kernels that one device schedules in one way.

    A configuration says how the loops are cut: a frozen dataclass of whole numbers. The tuner
    measures configurations; tuning logs hold the names of their fields.

    Attributes:
        name: value of the kernels' attribute ``mqnet.family``. It is part of their TIR, by which
            tuning records are found: never change it.
        kind: what reports call it; several families may be of one kind.
        schedule: (schedule, core model[, configuration]) cuts the loops, by the default
            configuration unless one is given; None where kernels are written in their final form.
        configuration: dataclass of a configuration; None where there is only one way.
        configurations: (schedule, core model) -> all that can be scheduled and are worth a try.
        default_configuration: (schedule, core model) -> the one that is taken without tuning.
        fusion: what its schedule takes into its loops; None: nothing.
        serves: (schedule) -> whether a kernel without a family is scheduled like this one; operator
            fusion makes such kernels.
    """

    name: str
    kind: str
    schedule: Callable[..., None] | None
    configuration: type[Any] | None = None
    configurations: Callable[[s_tir.Schedule, Any], list[Any]] | None = None
    default_configuration: Callable[[s_tir.Schedule, Any], Any] | None = None
    fusion: Fusion | None = field(default=None, kw_only=True)
    serves: Callable[[s_tir.Schedule], bool] | None = field(default=None, kw_only=True)

    @property
    def is_tunable(self) -> bool:
        """Whether the loops can be cut in more than one way."""
        return self.configuration is not None


class KernelFamilies(dict[str, KernelFamily]):
    """The families of one device, by name."""

    def __init__(self, *families: KernelFamily) -> None:
        super().__init__((family.name, family) for family in families)
        if len(self) < len(families):
            names = [family.name for family in families]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"several kernel families are called {', '.join(twice)}")

    def of(self, kernel: tirx.PrimFunc) -> KernelFamily | None:
        """Return the family of ``kernel``, which has no schedule yet; None: of none of these."""
        name = (kernel.attrs or {}).get(FAMILY_ATTR)
        if name is not None:
            return self.get(str(name))
        serving = [(family, family.serves) for family in self.values() if family.serves is not None]
        schedule = s_tir.Schedule(kernel) if serving else None
        try:
            return next((family for family, serves in serving if serves(schedule)), None)
        except s_tir.ScheduleError:  # It is no chain of blocks.
            return None
