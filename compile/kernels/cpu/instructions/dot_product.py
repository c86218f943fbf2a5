"""Instructions that multiply small integers and add the products up in int32 lanes.

Each instruction set has its file (``x86_pmaddwd.py``, ``x86_vnni.py``, ``arm_sdot.py``) with one
:class:`DotProduct`; ``dot_products.py`` finds it by a target's `dot_product`. All of them compute,
for every lane l of a vector, with a group of numbers in its 32 bits::

    C[l] += sum over g < group of  (A[l, g] + shift) * B[l, g]

What differs is the group, the types, and how the compiler spells it. ``dot_intrinsics.py`` makes
of it what ``tensorize`` wants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tvm import tirx

#: (accumulator int32 x lanes, for each step data int32 x lanes, for each step weights x lanes *
#: group, lanes) -> accumulator.
Emitter = Callable[[tirx.Expr, Sequence[tirx.Expr], Sequence[tirx.Expr], int], tirx.Expr]


@dataclass(frozen=True)
class TapProducts:
    """How an instruction multiplies the taps of a window, whose lanes are channels.

    Attributes:
        lanes: channels of one vector, the most first.
        emit: (accumulator int32x4 for each four channels, int8 data of each tap, int8 weights of
            each tap) -> accumulators.
    """

    lanes: tuple[int, ...]
    emit: Callable[
        [Sequence[tirx.Expr], Sequence[tirx.Expr], Sequence[tirx.Expr]], Sequence[tirx.Expr]
    ]


@dataclass(frozen=True)
class DotProduct:
    """One instruction.

    Attributes:
        name: as target files spell it.
        group: input channels that one lane multiplies. They fill its 32 bits, or half of them.
        data_dtype: type in which it takes the data.
        weight_dtype: type in which it takes the weights.
        shift: what is added to int8 to make it of ``data_dtype``: 128 for uint8, else 0. The sums
            are too large by ``shift`` times the sum of the channel's weights, which the packer
            takes off the bias.
        lanes: vector lengths that exist, the longest first.
        steps: groups of data that one load brings in where the instruction can take any one of
            them for all lanes, the most first.
        emit: the instruction, or those that take its place, as TIR.
        least_weight: the smallest weight for which the sums are exact.
        temporaries: registers that it needs beside accumulators, data and weights.
        depthwise_channels: of a depthwise tile, where the channels can be cut into so many. With
            more the results are narrowed to longer vectors of bytes, with fewer the tile is wider,
            so that less is read for each of its columns.
        stored_channels: of a dense tile, likewise: the results that are narrowed to one vector of
            bytes.
        starts_at_bias: accumulators begin at the bias, not at zero: a register is copied as fast as
            cleared, and no addition is left.
        keeps_weights: a step of a tile keeps the weights of all its vectors and brings in the data
            of one pixel after the other. So few registers hold the larger tiles.
        has_smmla: the instruction set also multiplies matrices
            (:mod:`compile.kernels.cpu.instructions.arm_smmla`).
        steps_together: of a tile's steps, how many are taken for all pixels and vectors before the
            next are: so few where their data has to be brought into a register of its own, which
            then serves all vectors. None for all steps, one vector after the other.
        weights_by_step: the weights of all vectors for such steps lie beside each other
            (:mod:`compile.kernels.cpu.int8.packed_weight`).
        spread: (all data of a pixel's steps, first step, count) -> that register, which ``emit``
            takes with one of the weights of as many steps; where there are ``steps_together``.
        taps: how it convolves each channel by itself, where it does so without words that hold a
            group of each.
    """

    name: str
    group: int
    data_dtype: str
    weight_dtype: str
    shift: int
    lanes: tuple[int, ...]
    steps: tuple[int, ...]
    emit: Emitter
    least_weight: int = -128
    temporaries: int = 0
    depthwise_channels: int = 16
    stored_channels: int = 1
    starts_at_bias: bool = False
    keeps_weights: bool = False
    has_smmla: bool = False
    steps_together: int | None = None
    weights_by_step: bool = False
    spread: Callable[[tirx.Expr, int, int], tirx.Expr] | None = None
    taps: TapProducts | None = None

    def find_lanes(self, channels: int) -> int | None:
        """The vector length for ``channels`` outputs: the one that takes the fewest instructions,
        of those the shortest. The last vector may stand over the end, but all of them together
        by no more than half of the channels; None where every length would.
        """
        fitting = [n for n in sorted(self.lanes) if -(-channels // n) * n <= 1.5 * channels]
        return min(fitting, key=lambda n: -(-channels // n), default=None)

    def lanes_for(self, channels: int) -> int:
        """What :meth:`find_lanes` has found for ``channels`` of a kernel, or there were no such
        kernel."""
        lanes = self.find_lanes(channels)
        assert lanes is not None, f"{self.name} has no vectors for {channels} channels"
        return lanes

    def find_dividing_lanes(self, channels: int) -> int | None:
        """The longest vector length that ``channels`` are cut into evenly, if any."""
        return next((n for n in self.lanes if channels % n == 0), None)

    def dividing_lanes(self, channels: int) -> int:
        """What :meth:`find_dividing_lanes` has found for ``channels`` of a kernel, or there were no
        such kernel."""
        lanes = self.find_dividing_lanes(channels)
        assert lanes is not None, f"no vectors of {self.name} divide {channels} channels"
        return lanes

    def on_dividing_lanes(self, channels: int) -> DotProduct:
        """The instruction on vectors of :meth:`dividing_lanes` alone."""
        return replace(self, lanes=(self.dividing_lanes(channels),))

    def find_depthwise_lanes(self, channels: int, kernel: tuple[int, int]) -> int | None:
        """The longest vector length that ``channels``, each convolved by itself with a window of
        ``kernel`` rows and columns, are cut into evenly, if any."""
        if self.taps is None:
            return self.find_dividing_lanes(channels)
        if min(kernel) == 1:
            # TVM does not match an intrinsic whose loops have one iteration.
            return None
        return next((n for n in self.taps.lanes if channels % n == 0), None)

    @property
    def takes_int8(self) -> bool:
        """Whether int8 data need not be brought into another type in memory."""
        return self.data_dtype in ("int8", "uint8")

    @property
    def operand_dtype(self) -> str:
        """Of the data in memory: int8 where that will do."""
        return "int8" if self.takes_int8 else self.data_dtype

    def widened(self, value: tirx.Expr) -> tirx.Expr:
        """An int8 ``value`` as ``data_dtype``."""
        if self.shift:
            value = value.astype("int16") + tirx.const(self.shift, "int16")
        return value if self.data_dtype == "int8" else value.astype(self.data_dtype)

    def product(self, data: tirx.Expr, weight: tirx.Expr, data_dtype: str) -> tirx.Expr:
        """One summand, int32, of ``data`` that has the instruction's type or int8 values."""
        value = data.astype("int32")
        if self.shift and data_dtype == "int8":
            value = value + self.shift
        return value * weight.astype("int32")

    def shifted(self, words: tirx.Expr) -> tirx.Expr:
        """int32 ``words`` (or a vector of them) with ``shift`` added to each member."""
        if not self.shift:
            return words
        # Adding the upper bit flips it.
        flipped = sum(self.shift << (g * 32 // self.group) for g in range(self.group))
        return words ^ tirx.const(flipped - (1 << 32), words.ty)

    def word(self, members: Sequence[tirx.Expr]) -> tirx.Expr:
        """int32 of up to ``group`` int8 ``members``, the first in the low bits, zeros behind."""
        bits = 32 // self.group
        result = tirx.const(0, "int32")
        for g, member in enumerate(members):
            value = member.astype("int32") << (bits * g)
            if g < self.group - 1:
                value = value & tirx.const(((1 << bits) - 1) << (bits * g), "int32")
            result = value if g == 0 else result | value
        return result

    def shifted_byte(self, value: tirx.Expr) -> tirx.Expr:
        """The bits of int8 ``value`` with ``shift`` added, still called int8."""
        return value ^ tirx.const(-self.shift, "int8") if self.shift else value

    def member(self, word: tirx.Expr, g: tirx.Expr) -> tirx.Expr:
        """Number ``g`` of the group in ``word``, which has the shift in it, as int32."""
        bits = 32 // self.group
        if self.shift:
            return (word >> (g * bits)) & ((1 << bits) - 1)
        return (word << ((self.group - 1 - g) * bits)) >> (32 - bits)
