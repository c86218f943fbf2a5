"""Vectors of bytes that are looked up in a table of 256, by the instructions made for it.

A function of one int8 tensor is a table (:mod:`compile.kernels.cpu.plain.elementwise`). LLVM loads
its entries one by one. Where the processor has them, these take their place:

- x86 with AVX512-VBMI: ``vpermi2b`` takes bytes out of 128, so two, and a choice by the index's
  upper bit (Intel's manual, volume 2, VPERMI2B).
- x86 with AVX2 or AVX512-BW: ``vpshufb`` takes bytes out of 16, and zero where the index's upper
  bit is set; so sixteen, each with an index above 127 where it lies in another part (PSHUFB).
- AArch64: ``tbl`` and ``tbx`` take bytes out of 64, and zero or what was there before where there
  is no such entry; so four (Arm Architecture Reference Manual, C7.2, TBL, TBX).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import TensorLoad
from tvm.script import tirx as T
from tvm.target import codegen

_ENTRIES = 256
_PART = 16

#: (index uint8 x lanes, table, lanes) -> int8 x lanes.
_Emitter = Callable[[tirx.Expr, tirx.Buffer, int], tirx.Expr]


@dataclass(frozen=True)
class _Way:
    """How many ``lanes`` at a time, and how."""

    lanes: int
    emit: _Emitter


@tirx.transform.prim_func_pass(opt_level=0, name="LookUpBytes")
def look_up_bytes(
    function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext
) -> tirx.PrimFunc:
    """Replace loads of a vector of entries in a lowered function."""
    way = _way_of(function.attrs["target"])
    if way is None:
        return function

    def replace(load: TensorLoad) -> tirx.Expr:
        index = _byte_index(load)
        return load if index is None else _looked_up(load.source, index, way)

    return function.with_body(tvm_ffi.structural_map(function.body, (TensorLoad, replace)))


def _way_of(target: tvm.target.Target) -> _Way | None:
    features = set(map(str, codegen.llvm_get_cpu_features(target)))
    if "avx512vbmi" in features:
        return _Way(64, _by_vpermi2b)
    if "avx512bw" in features:
        return _Way(64, _by_pshufb)
    if "avx2" in features:
        return _Way(32, _by_pshufb)
    return _Way(_PART, _by_tbl) if "neon" in features else None


def _byte_index(load: TensorLoad) -> tirx.Expr | None:
    """uint8 x lanes that a ``load`` of bytes counts from the table's start; None where it is no
    vector out of a table."""
    lanes = load.ty.dtype.lanes
    if lanes < _PART or lanes % _PART or str(load.ty.dtype) != f"int8x{lanes}":
        return None
    if [int(extent) for extent in load.source.shape] != [_ENTRIES]:
        return None
    (index,) = load.indices
    smallest = 0
    if isinstance(index, tirx.Add) and isinstance(index.b, tirx.Broadcast):
        smallest, index = int(index.b.value), index.a
    if not isinstance(index, tirx.Cast):
        return None
    dtype = {0: "uint8", 128: "int8"}.get(smallest)
    if str(index.value.ty.dtype) != f"{dtype}x{lanes}":
        return None
    byte = T.reinterpret(index.value, dtype=f"uint8x{lanes}")
    return byte ^ _splat(smallest, lanes) if smallest else byte


def _looked_up(table: tirx.Buffer, index: tirx.Expr, way: _Way) -> tirx.Expr:
    lanes = index.ty.dtype.lanes
    if lanes < way.lanes:
        # The instruction takes no fewer; what it makes of the others is dropped.
        full = way.emit(_repeated(index, way.lanes), table, way.lanes)
        return tirx.Shuffle([full], list(range(lanes)))
    parts = []
    for start in range(0, lanes, way.lanes):
        part = tirx.Shuffle([index], list(range(start, start + way.lanes)))
        parts.append(way.emit(index if lanes == way.lanes else part, table, way.lanes))
    return parts[0] if len(parts) == 1 else tirx.Shuffle(parts, list(range(lanes)))


def _repeated(vector: tirx.Expr, lanes: int) -> tirx.Expr:
    return tirx.Shuffle([vector] * (lanes // vector.ty.dtype.lanes), list(range(lanes)))


def _splat(value: int, lanes: int) -> tirx.Expr:
    return T.broadcast(tirx.const(value, "uint8"), lanes)


def _entries(table: tirx.Buffer, first: int, lanes: int) -> tirx.Expr:
    return tirx.BufferLoad(table, [tirx.Ramp(tirx.const(first, "int32"), 1, lanes)])


def _call(name: str, dtype: str, *args: tirx.Expr) -> tirx.Expr:
    return T.call_llvm_pure_intrin(T.llvm_lookup_intrinsic_id(name), *args, dtype=dtype)


def _by_vpermi2b(index: tirx.Expr, table: tirx.Buffer, lanes: int) -> tirx.Expr:
    dtype = f"int8x{lanes}"
    signed = T.reinterpret(index, dtype=dtype)
    low, high = (
        _call(
            "llvm.x86.avx512.vpermi2var.qi.512",
            dtype,
            _entries(table, first, lanes),
            signed,
            _entries(table, first + lanes, lanes),
        )
        for first in (0, 2 * lanes)
    )
    return tirx.Select(index < _splat(2 * lanes, lanes), low, high)


def _by_pshufb(index: tirx.Expr, table: tirx.Buffer, lanes: int) -> tirx.Expr:
    dtype = f"int8x{lanes}"
    shuffle = "llvm.x86.avx2.pshuf.b" if lanes == 32 else "llvm.x86.avx512.pshuf.b.512"
    result = None
    for first in range(0, _ENTRIES, _PART):
        part = _repeated(_entries(table, first, _PART), lanes)
        # Below 16 where the index lies in this part; then 112 more leave the upper bit clear.
        near = _call(
            "llvm.uadd.sat",
            f"uint8x{lanes}",
            index ^ _splat(first, lanes),
            _splat(128 - _PART, lanes),
        )
        found = _call(shuffle, dtype, part, T.reinterpret(near, dtype=dtype))
        result = found if result is None else result | found
    return result


def _by_tbl(index: tirx.Expr, table: tirx.Buffer, lanes: int) -> tirx.Expr:
    dtype = f"int8x{lanes}"
    result = None
    for first in range(0, _ENTRIES, 4 * lanes):
        parts = [_entries(table, first + part, lanes) for part in range(0, 4 * lanes, lanes)]
        # Below the first entry of these it wraps around to more than they are.
        near = T.reinterpret(index - _splat(first, lanes), dtype=dtype)
        if result is None:
            result = _call("llvm.aarch64.neon.tbl4", dtype, *parts, near)
        else:
            result = _call("llvm.aarch64.neon.tbx4", dtype, result, *parts, near)
    return result
