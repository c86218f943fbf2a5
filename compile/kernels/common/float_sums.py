"""What sums up floats along any axes, for TVM's legalization: in float32 whatever the type, few
numbers at a time, and variances from deviations.

TVM's own sum up float16 in float16, which ends at 65504; add millions of numbers one by one, where
those of a plane of one colour are soon lost beside the sum; and take E[x^2] - E[x]^2 for the
variance of a norm, which cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from tvm import te, tirx, topi

from compile.kernels.common.tiling import largest_divisor

#: Numbers that are added one by one, unless their count has no fitting divisor.
_RUN = 1024

_Value = Callable[..., tirx.Expr]


def total(x: te.Tensor, axes: Sequence[int] | None, keepdims: bool) -> te.Tensor:
    """The sums of ``x`` along ``axes``, all unless given, in its type."""
    chosen = _axes(x, axes)
    return _finish(_sum(_shape(x), lambda *i: _wide(x, i), chosen), x.dtype, chosen, keepdims)


def mean(x: te.Tensor, axes: Sequence[int] | None, keepdims: bool) -> te.Tensor:
    """The means of ``x`` along ``axes``, all unless given, in its type."""
    chosen = _axes(x, axes)
    return _finish(_mean(_shape(x), lambda *i: _wide(x, i), chosen), x.dtype, chosen, keepdims)


def softmax(
    x: te.Tensor, axis: int, exp: Callable[[tirx.Expr], tirx.Expr], in_log: bool
) -> te.Tensor:
    """e^x over the sum of those along ``axis``, or the logarithm of that, in the type of ``x``;
    ``exp`` is of float32."""
    axes = _axes(x, [axis])
    largest = topi.max(x, axes, keepdims=True)

    def below(index: Sequence[tirx.Expr]) -> tirx.Expr:
        return _wide(x, index) - _wide(largest, _kept(index, axes))

    powers = te.compute(x.shape, lambda *i: exp(below(i)), name="powers")
    sums = _sum(_shape(x), powers, axes)

    def finish(*index: tirx.Expr) -> tirx.Expr:
        whole = sums(*_kept(index, axes))
        value = below(index) - tirx.log(whole) if in_log else powers(*index) / whole
        return value.astype(x.dtype)

    return te.compute(x.shape, finish, name="softmax")


def layer_norm(
    x: te.Tensor, gamma: te.Tensor, beta: te.Tensor, axes: Sequence[int], epsilon: float
) -> te.Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, both along ``axes``, of which ``gamma``
    and ``beta`` have one number for each place; in the type of ``x``."""
    chosen = _axes(x, axes)

    def weight(tensor: te.Tensor, index: Sequence[tirx.Expr]) -> tirx.Expr:
        return _wide(tensor, [index[axis] for axis in chosen])

    return _normalized(x, _shape(x), chosen, lambda i: (weight(gamma, i), weight(beta, i)), epsilon)


def group_norm(
    x: te.Tensor,
    gamma: te.Tensor,
    beta: te.Tensor,
    groups: int,
    channel_axis: int,
    axes: Sequence[int],
    epsilon: float,
) -> te.Tensor:
    """As :func:`layer_norm` along ``axes`` and the channels of each of the ``groups``; ``gamma``
    and ``beta`` have one number for each channel."""
    shape, (channel,) = _shape(x), _axes(x, [channel_axis])
    size = shape[channel] // groups
    # The group's number becomes an axis before the channels of a group.
    split = [*shape[:channel], groups, size, *shape[channel + 1 :]]
    grouped = topi.reshape(x, split)
    along = [channel + 1, *(axis + (axis > channel) for axis in _axes(x, axes))]

    def weights(index: Sequence[tirx.Expr]) -> tuple[tirx.Expr, tirx.Expr]:
        place = [index[channel] * size + index[channel + 1]]
        return _wide(gamma, place), _wide(beta, place)

    normalized = _normalized(grouped, split, sorted(along), weights, epsilon)
    return topi.reshape(normalized, shape)


def _normalized(
    x: te.Tensor,
    shape: list[int],
    axes: list[int],
    weights: Callable[[Sequence[tirx.Expr]], tuple[tirx.Expr, tirx.Expr]],
    epsilon: float,
) -> te.Tensor:
    means = _mean(shape, lambda *i: _wide(x, i), axes)

    def deviation(index: Sequence[tirx.Expr]) -> tirx.Expr:
        return _wide(x, index) - means(*_kept(index, axes))

    variances = _mean(shape, lambda *i: deviation(i) * deviation(i), axes)
    small = tirx.const(epsilon, "float32")
    scales = te.compute(
        variances.shape,
        lambda *i: tirx.const(1.0, "float32") / tirx.sqrt(variances(*i) + small),
        name="scales",
    )

    def normalize(*index: tirx.Expr) -> tirx.Expr:
        gamma, beta = weights(index)
        value = deviation(index) * scales(*_kept(index, axes)) * gamma + beta
        return value.astype(x.dtype)

    return te.compute(shape, normalize, name="normalized")


def _mean(shape: list[int], value: _Value, axes: list[int]) -> te.Tensor:
    sums = _sum(shape, value, axes)
    count = tirx.const(prod(shape[axis] for axis in axes), "float32")
    return te.compute(sums.shape, lambda *i: sums(*i) / count, name="mean")


def _sum(shape: list[int], value: _Value, axes: list[int]) -> te.Tensor:
    """The sums of float32 ``value(*index)``, whose ``axes`` stay with one place each: axis by axis,
    the last one first, in runs."""
    result = None
    for axis in reversed(axes):
        while result is None or shape[axis] > 1:
            result = _sum_runs(shape, value, axis)
            shape, value = _shape(result), result
    assert result is not None
    return result


def _sum_runs(shape: list[int], value: _Value, axis: int) -> te.Tensor:
    extent = shape[axis]
    run = largest_divisor(extent, _RUN)
    run = extent if run == 1 else run  # A large prime.
    step = te.reduce_axis((0, run), name="step")

    def summand(*index: tirx.Expr) -> tirx.Expr:
        place = index[axis] * run + step
        return te.sum(value(*index[:axis], place, *index[axis + 1 :]), axis=step)

    shorter = [*shape[:axis], extent // run, *shape[axis + 1 :]]
    return te.compute(shorter, summand, name="sums")


def _finish(result: te.Tensor, dtype: str, axes: list[int], keepdims: bool) -> te.Tensor:
    result = topi.cast(result, dtype)
    return result if keepdims else topi.squeeze(result, axes)


def _axes(x: te.Tensor, axes: Sequence[int] | None) -> list[int]:
    """``axes`` counted from the front, in order."""
    if axes is None:
        return list(range(len(x.shape)))
    return sorted(int(axis) % len(x.shape) for axis in axes)


def _shape(x: te.Tensor) -> list[int]:
    return [int(extent) for extent in x.shape]


def _wide(x: te.Tensor, index: Sequence[tirx.Expr]) -> tirx.Expr:
    return x(*index).astype("float32")


def _kept(index: Sequence[tirx.Expr], axes: list[int]) -> list[tirx.Expr | int]:
    """``index`` in what was summed up along ``axes``."""
    return [0 if axis in axes else one for axis, one in enumerate(index)]
