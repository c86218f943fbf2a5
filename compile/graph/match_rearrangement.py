"""Recognize what puts a tensor's numbers into another order or leaves some out. Not a pass."""

from __future__ import annotations

from tvm import relax

from compile.graph.constants import Definitions
from compile.graph.quantized_graph import NotLowerable, op_name
from compile.graph.shapes import tensor_shape
from compile.kernels.common.rearrangement import Cut, Rearrangement

#: What a chain may consist of.
REARRANGING = {"reshape", "permute_dims", "expand_dims", "squeeze"}


def match_rearrangement(
    expr: relax.Expr, definitions: Definitions
) -> tuple[relax.Expr, Rearrangement]:
    """What ``expr``, which such a chain ends in, rearranges, and how.

    Raises:
        NotLowerable: a reshape is of an order that the kernels have no loops for.
    """
    calls = []
    while isinstance(expr, relax.Var) and op_name(definitions.get(expr)) in REARRANGING:
        calls.append(definitions[expr])
        expr = definitions[expr].args[0]
    arranged: Rearrangement | None = Rearrangement.of(tensor_shape(expr))
    for call in reversed(calls):
        assert arranged is not None
        if op_name(call) == "permute_dims":
            rank = len(arranged.axes)
            axes = call.attrs.axes
            order = [int(axis) for axis in axes] if axes is not None else [*range(rank)][::-1]
            arranged = arranged.permuted(order)
        else:
            arranged = arranged.reshaped(tensor_shape(call))
        if arranged is None:
            raise NotLowerable(f"a reshape to {tensor_shape(call)} cuts through other axes")
    assert arranged is not None
    return expr, arranged


def match_cut(call: relax.Call) -> Cut:
    """What a ``call`` of relax.strided_slice leaves.

    Raises:
        NotLowerable: its limits are no constants, or it goes backwards.
    """
    shape, extents = tensor_shape(call.args[0]), tensor_shape(call)
    first, step = [0] * len(shape), [1] * len(shape)
    fields = [[int(field.value) for field in arg] for arg in (*call.args[1:3], *call.args[4:5])]
    axes, begins, *strides = fields
    for number, axis in enumerate(axes):
        begin, stride = begins[number], strides[0][number] if strides else 1
        if stride < 1:
            raise NotLowerable("a slice that goes backwards has no kernel")
        first[axis] = max(0, begin + shape[axis]) if begin < 0 else min(begin, shape[axis])
        step[axis] = stride
    return Cut(tuple(first), tuple(step), extents)
