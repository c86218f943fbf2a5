"""Instructions that multiply small integers and add the products up in int32 lanes.

Each instruction set has its file (``x86_pmaddwd.py``, ``x86_vnni.py``, ``arm_sdot.py``) with one
:class:`DotProduct`; the registry :func:`dot_product_named` is asked by a target's `dot_product`.
All of them take one group of neighbouring input channels, broadcast to all lanes, and as many
groups of weights as there are lanes, one for each output channel::

    C[l] += sum over g < group of  (A[g] + shift) * B[l, g]

What differs is the group, the types, and how the compiler spells it. :meth:`DotProduct.intrinsic`
registers the pair that ``tensorize`` wants: the description, which is the sum above in plain loops
and can be run, and the implementation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

#: (accumulator int32 x lanes, data group as int32, weights of one group for every lane) -> sum.
Emitter = Callable[[tirx.Expr, tirx.Expr, tirx.Expr, int], tirx.Expr]


@dataclass(frozen=True)
class DotProduct:
    """One instruction.

    Attributes:
        name: as target files spell it.
        group: input channels that one lane multiplies; they fill its 32 bits.
        data_dtype: type in which it takes the data.
        weight_dtype: type in which it takes the weights.
        shift: what the instruction adds to the data. Its sums are too large by ``shift`` times the
            sum of the channel's weights, which the packer takes off the bias.
        lanes: vector lengths that exist, the longest first.
        steps: groups of data that one load brings in, for which the instruction can take any of
            them, the most first.
        emit: the instruction as TIR.
    """

    name: str
    group: int
    data_dtype: str
    weight_dtype: str
    shift: int
    lanes: tuple[int, ...]
    steps: tuple[int, ...]
    emit: Emitter

    def lanes_for(self, channels: int) -> int | None:
        """The vector length for ``channels`` outputs: the one that takes the fewest instructions,
        of those the shortest. The last vector may stand over the end, but all of them together
        by no more than half of the channels; None where every length would.
        """
        fitting = [n for n in sorted(self.lanes) if -(-channels // n) * n <= 1.5 * channels]
        return min(fitting, key=lambda n: -(-channels // n), default=None)

    def product(self, data: tirx.Expr, weight: tirx.Expr) -> tirx.Expr:
        """One summand, int32."""
        value = data.astype("int32")
        return (value + self.shift if self.shift else value) * weight.astype("int32")

    def intrinsic(self, lanes: int, steps: int) -> str:
        """Name of the tensor intrinsic for vectors of ``lanes`` and ``steps`` groups at once."""
        name = f"mqnet.{self.name}_{lanes}x{steps}"
        if TensorIntrin.get(name, allow_missing=True) is None:
            TensorIntrin.register(name, self.describe(lanes, steps), self.implement(lanes, steps))
        return name

    def describe(self, lanes: int, steps: int) -> tirx.PrimFunc:
        """What the intrinsic computes, in plain loops."""
        group, data_dtype, weight_dtype = self.group, self.data_dtype, self.weight_dtype
        product = self.product

        @T.prim_func(s_tir=True)
        def description(
            A: T.Buffer((steps * group,), data_dtype, offset_factor=1),
            B: T.Buffer((steps, lanes, group), weight_dtype, offset_factor=1),
            C: T.Buffer((lanes,), "int32", offset_factor=1),
        ) -> None:
            with T.sblock("root"):
                T.reads(C[0:lanes], A[0 : steps * group], B[0:steps, 0:lanes, 0:group])
                T.writes(C[0:lanes])
                for lane, k in T.grid(lanes, steps * group):
                    with T.sblock("update"):
                        vl, vk = T.axis.remap("SR", [lane, k])
                        C[vl] = C[vl] + product(A[vk], B[vk // group, vl, vk % group])

        return description

    def implement(self, lanes: int, steps: int) -> tirx.PrimFunc:
        """The same by the instruction."""
        group, data_dtype, weight_dtype = self.group, self.data_dtype, self.weight_dtype

        def total(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> tirx.Expr:
            # One load for all steps: the instruction may take any group out of a register.
            data = A.vload([0], f"{data_dtype}x{steps * group}")
            groups = T.reinterpret(data, dtype=f"int32x{steps}" if steps > 1 else "int32")
            result = C.vload([0], f"int32x{lanes}")
            for step in range(steps):
                one = tirx.Shuffle([groups], [step]) if steps > 1 else groups
                weights = B.vload([step, 0, 0], f"{weight_dtype}x{lanes * group}")
                result = self.emit(result, one, weights, lanes)
            return result

        @T.prim_func(s_tir=True)
        def implementation(
            A: T.Buffer((steps * group,), data_dtype, offset_factor=1),
            B: T.Buffer((steps, lanes, group), weight_dtype, offset_factor=1),
            C: T.Buffer((lanes,), "int32", offset_factor=1),
        ) -> None:
            with T.sblock("root"):
                T.reads(C[0:lanes], A[0 : steps * group], B[0:steps, 0:lanes, 0:group])
                T.writes(C[0:lanes])
                C[T.ramp(0, 1, lanes)] = total(A, B, C)

        return implementation


def broadcast_group(data: tirx.Expr, lanes: int, dtype: str, group: int) -> tirx.Expr:
    """The group ``data`` (int32) in every lane, as a vector of ``dtype``."""
    return T.reinterpret(T.broadcast(data, lanes), dtype=f"{dtype}x{lanes * group}")
