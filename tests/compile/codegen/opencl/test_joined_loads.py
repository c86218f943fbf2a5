"""Neighbouring elements in one load: the same elements, of vectors that begin at a multiple."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compile.codegen.opencl.joined_loads import join_loads

_HEAD = "__kernel void k(__global char* restrict a_ptr, __global float* restrict b_ptr) {\n"
_ITEM = "(convert_int(get_local_id(0)))"


def joined(body: str) -> str:
    source = f"{_HEAD}  {body};\n}}\n"
    found = join_loads(source)
    assert found.startswith(f"{_HEAD}  ") and found.endswith(";\n}\n")
    return found[len(_HEAD) + 2 : -4]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            f"x = b_ptr[({_ITEM} * 8)] + b_ptr[(({_ITEM} * 8) + 5)] + b_ptr[(({_ITEM} * 8) + 3)]",
            # 0 and 3 are of one vector; 5 is alone in the next.
            f"x = (*(const __global float4*)(b_ptr + (({_ITEM} * 8) + 0))).s0 + "
            f"b_ptr[(({_ITEM} * 8) + 5)] + "
            f"(*(const __global float4*)(b_ptr + (({_ITEM} * 8) + 0))).s3",
        ),
        (
            f"x = a_ptr[(({_ITEM} * 16) - 1)] + a_ptr[(({_ITEM} * 16) - 6)]",
            f"x = (*(const __global char16*)(a_ptr + (({_ITEM} * 16) + -16))).sf + "
            f"(*(const __global char16*)(a_ptr + (({_ITEM} * 16) + -16))).sa",
        ),
        (
            "x = b_ptr[2] + b_ptr[1]",
            "x = (*(const __global float4*)(b_ptr + (0 + 0))).s2 + "
            "(*(const __global float4*)(b_ptr + (0 + 0))).s1",
        ),
        # One element twice; an odd place; a store; what is no parameter.
        (f"x = b_ptr[({_ITEM} * 4)] + b_ptr[({_ITEM} * 4)]", None),
        (f"x = b_ptr[({_ITEM} * 3)] + b_ptr[(({_ITEM} * 3) + 1)]", None),
        (f"b_ptr[({_ITEM} * 4)] = b_ptr[(({_ITEM} * 4) + 1)]", None),
        ("x = local_ptr[0] + local_ptr[1]", None),
        (
            # In a table, only the places are neighbours.
            f"x = b_ptr[(a_ptr[({_ITEM} * 4)] + 4)] + b_ptr[(a_ptr[(({_ITEM} * 4) + 1)] + 4)]",
            f"x = b_ptr[((*(const __global char4*)(a_ptr + (({_ITEM} * 4) + 0))).s0 + 4)] + "
            f"b_ptr[((*(const __global char4*)(a_ptr + (({_ITEM} * 4) + 0))).s1 + 4)]",
        ),
    ],
)
def test_loads(before: str, after: str | None) -> None:
    assert joined(before) == (after or before)


_LOAD = re.compile(r"\(\*\(const __global (\w+?)(\d+)\*\)\(\w+ \+ \((.*?) \+ (-?\d+)\)\)\)\.s(\w)")


@given(
    st.sampled_from([1, 2, 3, 4, 6, 8, 16]),
    st.lists(st.integers(-40, 40), min_size=1, max_size=6),
    st.sampled_from("ab"),
    st.integers(0, 50),
)
def test_the_same_elements(scale: int, constants: list[int], name: str, item: int) -> None:
    """Of vectors that fit a load and begin at a multiple of their length."""
    places = [
        f"((i * {scale}) {'+' if constant >= 0 else '-'} {abs(constant)})" for constant in constants
    ]
    found = joined("f(" + ", ".join(f"{name}_ptr[{place}]" for place in places) + ")")
    elements = found.removeprefix("f(").removesuffix(")").split(", ")
    for element, constant in zip(elements, constants, strict=True):
        if (load := _LOAD.fullmatch(element)) is None:
            assert element.startswith(f"{name}_ptr[")
            continue
        dtype, lanes, base, first, place = load.groups()
        start = eval(base, {"i": item}) + int(first)
        assert start % int(lanes) == 0
        assert int(lanes) * {"char": 1, "float": 4}[dtype] <= 16
        assert start + int(place, 16) == item * scale + constant
