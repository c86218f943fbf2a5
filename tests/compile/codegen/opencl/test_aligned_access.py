"""Accesses by pointers to vectors, only where every index is a multiple of the vector."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compile.codegen.opencl.aligned_access import align_accesses

_HEAD = "__kernel void k(__global char* restrict a_ptr, __global float* restrict b_ptr) {\n"
_ITEM = "(convert_int(get_local_id(0)))"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            f"vload16(0, a_ptr + ({_ITEM} * 32))",
            f"(*(const __global char16*)(a_ptr + ({_ITEM} * 32)))",
        ),
        # Eight bytes too far for a vector of sixteen, but not for one of eight.
        (f"vload16(0, a_ptr + (({_ITEM} * 16) + 8))", None),
        (
            f"vload8(0, a_ptr + (({_ITEM} * 16) - 8))",
            f"(*(const __global char8*)(a_ptr + (({_ITEM} * 16) - 8)))",
        ),
        (f"vload4(0, b_ptr + (({_ITEM} / 3) * 2))", None),
        (
            f"vload4(0, b_ptr + (max((int)({_ITEM} - 1), (int)0) * 8))",
            f"(*(const __global float4*)(b_ptr + (max((int)({_ITEM} - 1), (int)0) * 8)))",
        ),
        # Three elements have no alignment of their own.
        (f"vload3(0, b_ptr + ({_ITEM} * 12))", None),
        # A condition; a pointer that is no parameter.
        (f"vload4(0, b_ptr + (({_ITEM} < 3) ? 4 : 8))", None),
        ("vload4(0, local_ptr + 0)", None),
        ("vload4(0, b_ptr + 0)", "(*(const __global float4*)(b_ptr + 0))"),
        (
            f"vstore4((vload4(0, b_ptr + 4) * (float4)(1, 2, 3, 4)), 0, b_ptr + ({_ITEM} << 2))",
            f"*(__global float4*)(b_ptr + ({_ITEM} << 2)) = "
            "((*(const __global float4*)(b_ptr + 4)) * (float4)(1, 2, 3, 4))",
        ),
        (
            "vstore4(vload4(0, b_ptr + 8), 0, b_ptr + 2)",
            "vstore4((*(const __global float4*)(b_ptr + 8)), 0, b_ptr + 2)",
        ),
    ],
)
def test_accesses(before: str, after: str | None) -> None:
    source = f"{_HEAD}  x = {before};\n}}\n"
    assert align_accesses(source) == f"{_HEAD}  x = {after or before};\n}}\n"


def test_other_calls_stay() -> None:
    source = _HEAD + "  f(my_vload4(0, b_ptr + 4), b_ptr[(1 + 3)], vload4_more(0, b_ptr + 4));\n}\n"
    assert align_accesses(source) == source


_NUMBER = st.integers(-40, 40).map(lambda n: str(n) if n >= 0 else f"({n})")
_INDEX = st.recursive(
    _NUMBER | st.just("i"),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/%&"), inner).map(
        lambda parts: f"({' '.join(parts)})"
    ),
    max_leaves=8,
)


@given(_INDEX, st.sampled_from([2, 4, 8, 16]), st.integers(0, 1000))
def test_what_becomes_a_pointer_is_aligned(index: str, lanes: int, item: int) -> None:
    found = align_accesses(f"{_HEAD}  x = vload{lanes}(0, b_ptr + {index});\n}}\n")
    if "vload" in found:
        return
    assert re.search(rf"float{lanes}\*\)\(b_ptr \+ ", found)
    try:
        place = eval(index.replace("/", "//"), {"i": item})
    except ZeroDivisionError:
        return
    assert place % lanes == 0
