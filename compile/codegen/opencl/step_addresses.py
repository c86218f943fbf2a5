"""Addresses as steps from one another, where their distance is one of a few.

A Mali loads from an address of 64 bits in two registers. Mesa's compiler makes each from its
beginning: an offset, its upper half, their sum with the buffer's address, four instructions around
one load. The distances between a kernel's accesses are few, though: to the next row of weights, to
the next pixel. So an address is the one before plus a distance that is in two registers already,
which is one instruction. The compiler would add the constants up again, if it knew them: a number
that is zero, but not for it to know, is added to each.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

#: The C function of a pointer, an index of bytes, and a constant that is added to it.
ADDRESS = "mqnet_at"

_CALL = f"{ADDRESS}("
_DEFINITION = (
    f"#define {ADDRESS}(pointer, index, constant) "
    "((uintptr_t)(pointer) + (uint)((index) + (constant)))\n"
)
_HEAD = re.compile(r"^__kernel void .*\{\n", re.MULTILINE)
#: A launch has three dimensions at the most.
_ZERO = "  const uintptr_t mqnet_zero = get_work_dim() >> 8;\n"


@dataclass(frozen=True)
class _Access:
    """An address in the text: what :data:`ADDRESS` is called with."""

    pointer: str
    index: str
    constant: int


@dataclass
class _Block:
    """A block between braces.

    Attributes:
        names: variables that hold addresses, declared in it.
        last: by pointer and index, the address that was declared last.
    """

    names: dict[_Access, str] = field(default_factory=dict)
    last: dict[tuple[str, str], _Access] = field(default_factory=dict)


def step_addresses(source: str) -> str:
    """Return the ``source`` of a kernel with its calls of :data:`ADDRESS` replaced by variables
    that are steps from one another, where a distance occurs more than once; defined in front, what
    is left of them."""
    if _CALL not in source:
        return source
    head = _HEAD.search(source)
    assert head is not None
    body = source[head.end() :].splitlines(keepends=True)
    distances = Counter(distance for *_, distance in _walk(body) if distance)
    steps = {d: f"step_{n}" for n, d in enumerate(d for d, times in distances.items() if times > 1)}
    names: defaultdict[int, dict[_Access, str]] = defaultdict(dict)
    declared: defaultdict[int, list[str]] = defaultdict(list)
    for place, access, name, origin, distance in _walk(body):
        names[place][access] = name
        step = None if distance is None else steps.get(distance)
        declared[place].append(_declaration(access, name, origin, step))
    text = []
    scope: list[dict[_Access, str]] = [{}, {}]
    for place, line in enumerate(body):
        text += declared[place]
        scope[-1].update(names[place])
        text.append(_named(line, scope))
        _enter_and_leave(line, scope, dict)
    front = [
        f"  const uintptr_t {name} = {distance} + mqnet_zero;\n" for distance, name in steps.items()
    ]
    start = [_ZERO, *front] if steps else []
    guard = f"#ifndef {ADDRESS.upper()}\n#define {ADDRESS.upper()}\n{_DEFINITION}#endif\n"
    return "".join([guard, source[: head.end()], *start, *text])


def _declaration(access: _Access, name: str, origin: str | None, step: str | None) -> str:
    if origin is not None and step is not None:
        return f"  const uintptr_t {name} = {origin} + {step};\n"
    return (
        f"  const uintptr_t {name} = {_CALL}{access.pointer}, {access.index}, {access.constant});\n"
    )


def _walk(
    body: list[str],
) -> Iterator[tuple[int, _Access, str, str | None, int | None]]:
    """Line, address, its variable, that of the one before, and the distance to it; once for each
    address of a block."""
    blocks = [_Block(), _Block()]
    count = 0
    for place, line in enumerate(body):
        for access in _accesses(line):
            if any(access in block.names for block in blocks):
                continue
            block, key = blocks[-1], (access.pointer, access.index)
            before = block.last.get(key)
            name = f"at_{count}"
            count += 1
            origin = block.names[before] if before else None
            distance = access.constant - before.constant if before else None
            block.names[access] = name
            block.last[key] = access
            yield place, access, name, origin, distance
        _enter_and_leave(line, blocks, _Block)


def _enter_and_leave(line: str, blocks: list, new: type) -> None:
    """Of an opened block, a ``new`` one; statements have no braces of their own."""
    text = line.strip()
    # In this order: "} else {".
    if text.startswith("}"):
        blocks.pop()
    if text.endswith("{"):
        blocks.append(new())


def _accesses(line: str) -> list[_Access]:
    return [access for _, _, access in _calls(line)]


def _named(line: str, scope: list[dict[_Access, str]]) -> str:
    parts, end = [], 0
    for start, stop, access in _calls(line):
        name = next(names[access] for names in reversed(scope) if access in names)
        parts += [line[end:start], name]
        end = stop
    return "".join([*parts, line[end:]])


def _calls(line: str) -> Iterator[tuple[int, int, _Access]]:
    """Beginning and end of each call, and what it is called with."""
    start = line.find(_CALL)
    while start >= 0:
        place, depth, commas = start + len(_CALL), 1, []
        while depth:
            character = line[place]
            depth += {"(": 1, ")": -1}.get(character, 0)
            if character == "," and depth == 1:
                commas.append(place)
            place += 1
        first, second = commas
        pointer, index = line[start + len(_CALL) : first], line[first + 1 : second].strip()
        yield start, place, _Access(pointer, index, int(line[second + 1 : place - 1]))
        start = line.find(_CALL, place)
