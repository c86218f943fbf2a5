"""Vectors of results that become bytes, by the instructions of x86 that narrow and saturate.

:mod:`compile.kernels.common.quantize_op` limits a result while it is a float and four times as
wide, from both sides. ``packssdw`` and ``packsswb`` narrow two registers to one and saturate, so
that only the upper limit is left before them, where the conversion knows no number beyond int32;
the zero point and the lower limit are applied to twice as many numbers at a time. AVX-512 has
instructions of its own that narrow one register (Intel's manual, volume 2, PACKSSWB/PACKSSDW,
VPMOVDB).
"""

from __future__ import annotations

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import Call
from tvm.script import tirx as T
from tvm.target import codegen

from compile.kernels.common.quantize_op import QUANTIZE_INT8, ROUND_TO_INT8

#: Fewer numbers than a register of SSE holds are narrowed one by one.
_FEWEST_LANES = 4


@tirx.transform.prim_func_pass(opt_level=0, name="SaturateBytes")
def saturate_bytes(
    function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext
) -> tirx.PrimFunc:
    """Replace both operators on vectors in a lowered function."""
    if not _packs(function.attrs["target"]):
        return function

    def narrow(call: Call) -> tirx.Expr:
        is_vector = _is_quantize(call) and call.ty.dtype.lanes >= _FEWEST_LANES
        return _narrowed(call) if is_vector else call

    def pair(either: tirx.BitwiseOr) -> tirx.Expr:
        members = _pair_members(either)
        return either if members is None else _paired(*members)

    body = tvm_ffi.structural_map(function.body, [(Call, narrow), (tirx.BitwiseOr, pair)])
    return function.with_body(body)


def _packs(target: tvm.target.Target) -> bool:
    features = set(map(str, codegen.llvm_get_cpu_features(target)))
    return "sse4.1" in features and "avx512bw" not in features


def _is_quantize(call: Call) -> bool:
    return getattr(call.op, "name", "") in (QUANTIZE_INT8, ROUND_TO_INT8)


def _narrowed(call: Call) -> tirx.Expr:
    value, zero_point, *limits = call.args
    if limits:
        value = tirx.min(value, _cast(limits[1] - zero_point, "float32"))
    # To nearest even; what is below int32 becomes the smallest one.
    rounded = tirx.call_llvm_pure_intrin(_like(value, "int32"), "llvm.lrint", value)
    shifted = tirx.call_llvm_pure_intrin(
        _like(value, "int16"),
        "llvm.sadd.sat",
        _saturated(rounded, "int16"),
        _cast(zero_point, "int16"),
    )
    if limits:
        shifted = tirx.max(shifted, _cast(limits[0], "int16"))
    return _saturated(shifted, "int8")


def _saturated(value: tirx.Expr, dtype: str) -> tirx.Expr:
    limits = tirx.min_value(dtype), tirx.max_value(dtype)
    least, most = (tirx.const(int(limit.value), value.ty) for limit in limits)
    return _cast(tirx.max(tirx.min(value, most), least), dtype)


def _like(value: tirx.Expr, dtype: str) -> str:
    return f"{dtype}x{value.ty.dtype.lanes}"


def _cast(value: tirx.Expr, dtype: str) -> tirx.Expr:
    return value.astype(_like(value, dtype))


def _pair_members(either: tirx.BitwiseOr) -> tuple[tirx.Expr, tirx.Expr] | None:
    """int8 x lanes that are the lower and the upper half of the int32 lanes of ``either``, each
    with its sign: ``low & 0xffff | high << 16``; None where it is something else."""
    low, high = either.a, either.b
    if not isinstance(low, tirx.BitwiseAnd) or not isinstance(high, tirx.LShift):
        return None
    halves = []
    for part, number in ((low, 0xFFFF), (high, 16)):
        is_wide = isinstance(part.a, tirx.Cast) and part.a.ty.dtype.lanes >= _FEWEST_LANES
        if not is_wide or not isinstance(part.b, tirx.Broadcast) or int(part.b.value) != number:
            return None
        halves.append(part.a.value)
    lanes = either.ty.dtype.lanes
    if any(str(half.ty.dtype) != f"int8x{lanes}" for half in halves):
        return None
    return halves[0], halves[1]


def _paired(low: tirx.Expr, high: tirx.Expr) -> tirx.Expr:
    """Bytes in turns first, by ``punpcklbw`` and ``punpckhbw``, and then all of them widened: a
    register of results at a time, or LLVM would join the bytes over both halves of one."""
    lanes = low.ty.dtype.lanes
    at_once = min(lanes, 8)
    parts = []
    for first in range(0, lanes, at_once):
        chosen = range(first, first + at_once)
        order = [lane + which * lanes for lane in chosen for which in (0, 1)]
        pairs = tirx.Shuffle([low, high], order).astype(f"int16x{2 * at_once}")
        parts.append(T.reinterpret(pairs, dtype=f"int32x{at_once}"))
    return parts[0] if len(parts) == 1 else tirx.Shuffle(parts, list(range(lanes)))
