"""Indices taken apart: the same places, and what no loop changes in front of all loops."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compile.codegen.opencl.base_addresses import share_addresses

_HEAD = (
    "__kernel void k(__global char* restrict a_ptr, __global int* restrict w_ptr, "
    "__read_only image2d_t i_ptr) {\n"
)
_ITEM, _GROUP = "(convert_int(get_local_id(0)))", "(convert_int(get_group_id(2)))"
_LOOP = "for (int ax = 0; ax < 3; ++ax)"


def rewritten(index: str, pointer: str = "a_ptr", kind: str = "char16") -> str:
    """The body of a kernel with one load in a loop."""
    load = f"(*(const __global {kind}*)({pointer} + {index}))"
    found = share_addresses(f"{_HEAD}  {_LOOP} x += {load};\n}}\n")
    assert found.startswith(_HEAD)
    return found[len(_HEAD) :]


def test_a_load_of_bytes() -> None:
    found = rewritten(f"(((({_GROUP} * 4096) + (ax * 16)) + ({_ITEM} * 64)) + 720)")
    base = f"  int base_0 = (({_GROUP} * 4096) + ({_ITEM} * 64));\n"
    load = "(*(const __global char16*)(a_ptr + ((base_0 + ((ax * 16))) + 720)))"
    assert found == f"{base}  {_LOOP} x += {load};\n}}\n"


def test_words_are_read_at_an_index_of_bytes() -> None:
    found = rewritten(f"((({_ITEM} * 4) - 8) + (ax * 12))", "w_ptr", "int4")
    base = f"  int base_0 = ((({_ITEM} * 4)) * 4);\n"
    load = "(*(const __global int4*)((__global char*)w_ptr + ((base_0 + (((ax * 12)) * 4)) + -32)))"
    assert found == f"{base}  {_LOOP} x += {load};\n}}\n"


def test_a_pixel() -> None:
    source = f"{_HEAD}  {_LOOP} x += (mqnet_pixel(i_ptr, (({_ITEM} * 4) + (ax * 8))));\n}}\n"
    base = f"  int base_0 = (({_ITEM} * 4));\n"
    pixel = "(mqnet_pixel(i_ptr, ((base_0 + ((ax * 8))) + 0)))"
    assert share_addresses(source) == f"{_HEAD}{base}  {_LOOP} x += {pixel};\n}}\n"


@pytest.mark.parametrize(
    "index",
    [
        f"(({_GROUP} * 4096) + ({_ITEM} * 16))",  # No loop changes it.
        "48",
        f"((ax < 2) ? ({_ITEM} * 16) : 0)",  # No sum.
    ],
)
def test_what_stays(index: str) -> None:
    body = f"  {_LOOP} x += (*(const __global char16*)(a_ptr + {index}));\n}}\n"
    assert share_addresses(_HEAD + body) == _HEAD + body


def test_equal_bases_are_one() -> None:
    load = "(*(const __global char16*)(a_ptr + ((ax * 16) + {})))"
    one, other = load.format(f"({_ITEM} * 4)"), load.format(f"({_ITEM} * 4)")
    found = share_addresses(f"{_HEAD}  {_LOOP} x += {one} + {other};\n}}\n")
    assert found.count("int base_") == 1 and found.count("base_0") == 3


_LEAVES = st.sampled_from([_ITEM, _GROUP, "ax", "cse_v1"]) | st.integers(0, 99).map(str)


def _combined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.builds("({} {} {})".format, parts, st.sampled_from("+-*"), parts)
    clamped = st.builds(
        "{}((int){}, (int){})".format, st.sampled_from(["min", "max"]), parts, parts
    )
    return binary | clamped


@given(
    index=st.recursive(_LEAVES, _combined, max_leaves=8),
    values=st.tuples(*[st.integers(0, 50)] * 4),
)
def test_the_place_is_the_same(index: str, values: tuple[int, ...]) -> None:
    item, group, loop, other = values
    names = {
        "get_local_id": lambda axis: item,
        "get_group_id": lambda axis: group,
        "convert_int": int,
        "min": min,
        "max": max,
        "ax": loop,
        "cse_v1": other,
    }

    def value(text: str) -> int:
        return eval(text.replace("(int)", ""), names)  # noqa: S307

    found = rewritten(index, "w_ptr", "int4")
    for name, base in re.findall(r"  int (base_\d+) = (.*);\n", found):
        assert "ax" not in base.replace("max", "") and "cse" not in base
        names[name] = value(base)
    (pointer, place) = re.search(r"\*\)\((.*w_ptr) \+ (.*)\)\);\n", found).groups()
    size = 4 if pointer.startswith("(__global char*)") else 1
    assert value(place) * (4 // size) == 4 * value(index)
