"""Numbers in another order or shape: where each number of the result comes from.

A reshape cuts axes into factors or puts factors together, a permutation orders them. So each axis
of the result is a product of factors of the operand's axes, whatever lies between.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tvm import te, tirx

from compile.kernels.common.kernel_function import create_kernel


@dataclass(frozen=True)
class Factor:
    """A part of an axis of the operand: its index counts steps of ``stride`` along that.

    Attributes:
        axis, stride: where it belongs.
        extent: how many steps there are.
    """

    axis: int
    stride: int
    extent: int


@dataclass(frozen=True)
class Rearrangement:
    """How a result is made of an operand.

    Attributes:
        shape: of the operand.
        axes: the factors of each axis of the result, the outermost first.
    """

    shape: tuple[int, ...]
    axes: tuple[tuple[Factor, ...], ...]

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Rearrangement:
        """Return the one that changes nothing."""
        return cls(shape, tuple(_factors(axis, extent) for axis, extent in enumerate(shape)))

    @property
    def result_shape(self) -> tuple[int, ...]:
        """The extents of the result."""
        return tuple(prod(factor.extent for factor in axis) for axis in self.axes)

    @property
    def groups(self) -> int | None:
        """Where the result is a feature map of which only the channels are shuffled, between so
        many groups: how many; else None."""
        *rest, channels = self.axes
        plain = self.of(self.shape).axes
        if len(channels) != 2 or tuple(rest) != plain[:-1]:
            return None
        inner, groups = channels
        wanted = Factor(len(rest), 1, inner.extent), Factor(len(rest), inner.extent, groups.extent)
        return groups.extent if channels == wanted else None

    def permuted(self, axes: list[int]) -> Rearrangement:
        """Return this with its result's axes in another order."""
        return Rearrangement(self.shape, tuple(self.axes[axis] for axis in axes))

    def reshaped(self, shape: tuple[int, ...]) -> Rearrangement | None:
        """Return this with its result in another ``shape``; None where that cuts an axis in the
        middle of a factor."""
        pending = [factor for axis in self.axes for factor in axis][::-1]
        axes = []
        for extent in shape:
            found: list[Factor] = []
            while (left := extent // prod(factor.extent for factor in found)) > 1:
                if not pending:
                    return None
                factor = pending.pop()
                if left % factor.extent:
                    if factor.extent % left:
                        return None
                    step = factor.extent // left
                    pending.append(Factor(factor.axis, factor.stride, step))
                    factor = Factor(factor.axis, factor.stride * step, left)
                found.append(factor)
            axes.append(_joined(found))
        return None if pending else Rearrangement(self.shape, tuple(axes))

    def source(self, index: tuple[tirx.Expr, ...]) -> list[tirx.Expr]:
        """The index into the operand of what stands at ``index`` of the result."""
        found: list[tirx.Expr] = [tirx.const(0, "int32")] * len(self.shape)
        for position, factors in zip(index, self.axes, strict=True):
            inner = 1
            for number, factor in enumerate(reversed(factors), start=1):
                step = position // inner if inner > 1 else position
                if number < len(factors):
                    step = step % factor.extent
                found[factor.axis] = found[factor.axis] + step * factor.stride
                inner *= factor.extent
        return found


def _factors(axis: int, extent: int) -> tuple[Factor, ...]:
    return (Factor(axis, 1, extent),) if extent > 1 else ()


def _joined(factors: list[Factor]) -> tuple[Factor, ...]:
    """``factors`` with neighbours that are one part of their axis as one."""
    joined: list[Factor] = []
    for factor in factors:
        last = joined[-1] if joined else None
        if last and (last.axis, last.stride) == (factor.axis, factor.stride * factor.extent):
            joined[-1] = Factor(factor.axis, factor.stride, last.extent * factor.extent)
        else:
            joined.append(factor)
    return tuple(joined)


def create_rearrangement(family: str, arranged: Rearrangement, dtype: str) -> tirx.PrimFunc:
    """The kernel data ``dtype`` of ``arranged.shape`` -> ``dtype`` of its result's shape."""
    data = te.placeholder(arranged.shape, dtype, name="data")
    out = te.compute(
        arranged.result_shape, lambda *index: data(*arranged.source(index)), name="rearranged"
    )
    return create_kernel(family, [data], out)


@dataclass(frozen=True)
class Cut:
    """What is left of a tensor.

    Attributes:
        first, step, extents: of each axis, the first index, the step to the next one, and how many
            there are.
    """

    first: tuple[int, ...]
    step: tuple[int, ...]
    extents: tuple[int, ...]


def create_cut(family: str, data_shape: tuple[int, ...], cut: Cut, dtype: str) -> tirx.PrimFunc:
    """The kernel data ``dtype`` [data_shape] -> ``dtype`` [cut.extents]."""
    data = te.placeholder(data_shape, dtype, name="data")

    def element(*index: tirx.Expr) -> tirx.Expr:
        places = zip(index, cut.first, cut.step, strict=True)
        return data(*(i * step + first for i, first, step in places))

    # Its channels lie side by side only where none is left out.
    name = "slice" if cut.step[-1] == 1 else "strided_slice"
    return create_kernel(family, [data], te.compute(cut.extents, element, name=name))
