"""Loads of neighbouring elements, which TVM's code generator writes one by one, as one load.

Where an index is a multiple of n but for a constant, the element lies in a known place of an
aligned vector of n. A load of an element is written as a load of that vector where another element
of it is loaded, too; the device's compiler makes one load of equal ones. It may reach beyond the
end of a tensor, but not of its memory: the runtime gives whole vectors
(`device/opencl/src/buffers.cc`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from compile.codegen.opencl.source_index import closing_bracket, global_pointers, multiple_of

#: Bytes of the longest load.
_VECTOR_BYTES = 16
_BYTES = {"char": 1, "uchar": 1, "short": 2, "half": 2, "int": 4, "uint": 4, "float": 4}

_CONSTANT = re.compile(r"\((.*) ([+-]) (\d+)\)", re.DOTALL)
_STORED = re.compile(r"\] = ")


@dataclass(frozen=True)
class _Load:
    """An element in the text.

    Attributes:
        start, end: where the text is.
        vector: pointer, type, base, first element behind the base, and elements of the vector.
        place: of the element in it.
    """

    start: int
    end: int
    vector: tuple[str, str, str, int, int]
    place: int


def join_loads(source: str) -> str:
    """``source`` of one kernel, as TVM writes it, with vectors loaded where two or more of their
    elements are."""
    loads = list(_loads(source))
    places: defaultdict[tuple, set[int]] = defaultdict(set)
    for load in loads:
        places[load.vector].add(load.place)
    parts, done = [], 0
    for load in loads:
        if len(places[load.vector]) > 1:
            parts += [source[done : load.start], _written(load)]
            done = load.end
    return "".join([*parts, source[done:]])


def _written(load: _Load) -> str:
    pointer, dtype, base, first, lanes = load.vector
    return f"(*(const __global {dtype}{lanes}*)({pointer} + ({base} + {first}))).s{load.place:x}"


def _loads(source: str) -> Iterator[_Load]:
    dtypes = global_pointers(source)
    if not dtypes:
        return
    for access in re.finditer(rf"\b({'|'.join(dtypes)})\[", source):
        end = closing_bracket(source, access.end())
        index, pointer = source[access.end() : end], access[1]
        # The innermost of what is looked up in a table; no stores.
        if "[" in index or _STORED.match(source, end) or dtypes[pointer] not in _BYTES:
            continue
        base, constant = _split(index)
        most = _VECTOR_BYTES // _BYTES[dtypes[pointer]]
        multiple = multiple_of(base)
        lanes = next((n for n in (16, 8, 4, 2) if n <= most and multiple % n == 0), 1)
        if lanes > 1:
            first, place = constant // lanes * lanes, constant % lanes
            vector = (pointer, dtypes[pointer], base, first, lanes)
            yield _Load(access.start(), end + 1, vector, place)


def _split(index: str) -> tuple[str, int]:
    """Base and constant, whose sum is ``index``."""
    if index.isdigit():
        return "0", int(index)
    parts = _CONSTANT.fullmatch(index)
    if parts is None or parts[1].count("(") != parts[1].count(")"):
        return index, 0
    return parts[1], int(parts[2] + parts[3])
