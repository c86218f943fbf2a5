"""Addresses as steps: the same numbers, each from the one before where a distance is repeated."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from compile.codegen.opencl.step_addresses import step_addresses

_HEAD = "__kernel void k(__global char* restrict a_ptr) {\n"
_VARIABLE = re.compile(r"const uintptr_t (\w+) = (.*);")


def body_of(source: str) -> str:
    return source[source.index(_HEAD) + len(_HEAD) :]


def test_repeated_distances_are_steps() -> None:
    kernel = (
        f"{_HEAD}"
        "  f(mqnet_at(a_ptr, (i * 4), 0), mqnet_at(a_ptr, (i * 4), 48));\n"
        "  f(mqnet_at(a_ptr, (i * 4), 96), mqnet_at(b_ptr, 0, 16));\n"
        "  f(mqnet_at(a_ptr, (i * 4), 48), mqnet_at(a_ptr, (i * 4), 100));\n"
        "}\n"
    )
    assert body_of(step_addresses(kernel)) == (
        "  const uintptr_t mqnet_zero = get_work_dim() >> 8;\n"
        "  const uintptr_t step_0 = 48 + mqnet_zero;\n"
        "  const uintptr_t at_0 = mqnet_at(a_ptr, (i * 4), 0);\n"
        "  const uintptr_t at_1 = at_0 + step_0;\n"
        "  f(at_0, at_1);\n"
        "  const uintptr_t at_2 = at_1 + step_0;\n"
        "  const uintptr_t at_3 = mqnet_at(b_ptr, 0, 16);\n"
        "  f(at_2, at_3);\n"
        "  const uintptr_t at_4 = mqnet_at(a_ptr, (i * 4), 100);\n"
        "  f(at_1, at_4);\n"
        "}\n"
    )


def test_a_loop_has_its_own() -> None:
    kernel = (
        f"{_HEAD}"
        "  f(mqnet_at(a_ptr, i, 0));\n"
        "  for (int k = 0; k < 3; ++k) {\n"
        "    f(mqnet_at(a_ptr, i, 0), mqnet_at(a_ptr, i, 8));\n"
        "  }\n"
        "  f(mqnet_at(a_ptr, i, 8));\n"
        "}\n"
    )
    assert body_of(step_addresses(kernel)) == (
        "  const uintptr_t at_0 = mqnet_at(a_ptr, i, 0);\n"
        "  f(at_0);\n"
        "  for (int k = 0; k < 3; ++k) {\n"
        "  const uintptr_t at_1 = mqnet_at(a_ptr, i, 8);\n"
        "    f(at_0, at_1);\n"
        "  }\n"
        "  const uintptr_t at_2 = mqnet_at(a_ptr, i, 8);\n"
        "  f(at_2);\n"
        "}\n"
    )


def test_so_have_the_sides_of_a_branch() -> None:
    kernel = (
        f"{_HEAD}"
        "  if (i) {\n"
        "    f(mqnet_at(a_ptr, i, 0));\n"
        "  } else {\n"
        "    f(mqnet_at(a_ptr, i, 0));\n"
        "  }\n"
        "}\n"
    )
    found = body_of(step_addresses(kernel))
    assert found.count("= mqnet_at(a_ptr, i, 0);") == 2


def test_a_kernel_without_addresses_stays() -> None:
    kernel = f"{_HEAD}  a_ptr[0] = 1;\n}}\n"
    assert step_addresses(kernel) == kernel


@given(st.lists(st.tuples(st.sampled_from(["0", "(i + 3)"]), st.integers(-9, 9)), min_size=1))
def test_the_numbers_are_the_same(accesses: list[tuple[str, int]]) -> None:
    lines = [f"  f(mqnet_at(a_ptr, {index}, {constant}));\n" for index, constant in accesses]
    found = body_of(step_addresses("".join([_HEAD, *lines, "}\n"])))
    names = {"i": 1000, "a_ptr": 10**6, "mqnet_at": lambda *parts: sum(parts)}
    names["get_work_dim"] = lambda: 3
    for name, value in _VARIABLE.findall(found):
        names[name] = eval(value, {}, names)
    values = [names[name] for name in re.findall(r"f\((\w+)\);", found)]
    assert values == [10**6 + eval(index, {}, names) + constant for index, constant in accesses]
