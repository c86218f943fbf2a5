"""Which tensor of the quantized program each kernel call of a build makes.

A call is marked by the nodes that it computes (:mod:`compile.graph.layers`). What it makes is the
last of them that no later call goes on with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.runtime.reference_network import ReferenceCall

#: What a result has of PyTorch's axes: channels last, as they are, or rows of planes.
_ORDERS = (0, 2, 3, 1), (0, 1, 2, 3), (0, 2, 1, 3)


@dataclass(frozen=True)
class CallTensor:
    """A result of a call that is a tensor of the program.

    Attributes:
        call: that makes it.
        node: of the program, by number.
        result: which one it is of the call's.
        shape, dtype: as the call makes it.
        axes: of the program's tensor in the order in which the call has them; () where those are
            the same numbers in another shape.
    """

    call: ReferenceCall
    node: int
    result: int
    shape: tuple[int, ...]
    dtype: str
    axes: tuple[int, ...]

    def laid_out(self, value: NDArray[Any]) -> NDArray[Any]:
        """The numbers in ``value``, of the program's tensor, in the call's order and shape."""
        moved = value.transpose(self.axes) if self.axes else value
        return np.ascontiguousarray(moved.reshape(self.shape))

    def given(self, value: NDArray[Any]) -> NDArray[Any]:
        """``value``, of the program's tensor, as the call's readers take it."""
        return self.laid_out(value).astype(self.dtype, copy=False)


@dataclass(frozen=True)
class Scale:
    """Of an int8 tensor: real = scale * (q - zero_point)."""

    scale: float
    zero_point: int

    def quantized(self, value: NDArray[Any]) -> NDArray[np.int8]:
        """Floats, as near as int8 can hold them."""
        steps = np.rint(value / np.float32(self.scale)) + self.zero_point
        return np.clip(steps, -128, 127).astype(np.int8)

    def real(self, value: NDArray[Any]) -> NDArray[np.float32]:
        """What int8 stands for."""
        return (value.astype(np.float32) - self.zero_point) * np.float32(self.scale)

    def saturated(self, value: NDArray[Any]) -> float:
        """The share of floats that lie outside of what int8 can hold."""
        low, high = ((end - self.zero_point) * self.scale for end in (-128.5, 127.5))
        return float(np.mean((value < low) | (value > high))) if value.size else 0.0


def match_tensors(
    calls: Sequence[ReferenceCall],
    shapes: Mapping[int, tuple[tuple[int, ...], str]],
) -> list[CallTensor]:
    """Find what ``calls`` make, in order; some make nothing of the program, as the statistics of a
    norm.

    Args:
        calls: of a frame.
        shapes: shape and dtype of what the nodes make, by number.
    """
    last = {node: index for index, call in enumerate(calls) for node in call.nodes}
    found = []
    for index, call in enumerate(calls):
        own = (node for node in reversed(call.nodes) if last[node] == index and node in shapes)
        made = (_match(call, node, *shapes[node]) for node in own)
        tensor = next((one for one in made if one is not None), None)
        if tensor is not None:
            found.append(tensor)
    return found


def _match(call: ReferenceCall, node: int, shape: tuple[int, ...], dtype: str) -> CallTensor | None:
    for number, (made, made_dtype) in enumerate(call.results):
        # A head may be in float16 where the program is in float32.
        if np.dtype(made_dtype).kind != np.dtype(dtype).kind or prod(made) != prod(shape):
            continue
        axes = _axes(shape, made)
        if axes is not None:
            return CallTensor(call, node, number, made, made_dtype, axes)
    return None


def _axes(shape: tuple[int, ...], made: tuple[int, ...]) -> tuple[int, ...] | None:
    if len(shape) == len(_ORDERS[0]) == len(made):
        return next((o for o in _ORDERS if tuple(shape[axis] for axis in o) == made), None)
    without = [[extent for extent in one if extent > 1] for one in (shape, made)]
    return () if without[0] == without[1] else None
