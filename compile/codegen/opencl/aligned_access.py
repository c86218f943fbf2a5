"""OpenCL C's vector loads and stores, by pointers to vectors wherever their alignment is known.

`vload16(0, p)` promises no more than that p is aligned as one element. Arm's compiler makes one
load of it all the same; Mesa's, which RK3588 boards have where Arm's driver is not installed, makes
sixteen of one byte each. A pointer to a vector says that p is aligned as the whole vector, and
costs one load everywhere. TVM's code generator writes only the former, so its text is rewritten:
buffers are aligned to more than any vector (CL_DEVICE_MEM_BASE_ADDR_ALIGN), and what an index is a
multiple of is seen in its terms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from compile.codegen.opencl.source_index import global_pointers, multiple_of

_ACCESS = re.compile(r"\bv(load|store)(2|4|8|16)\(")
_PLACE = re.compile(r"(\w+) \+ (.*)", re.DOTALL)


def align_accesses(source: str) -> str:
    """``source`` of kernels as TVM writes them, with pointers for aligned accesses.

    ``vload4(0, p + i)`` becomes ``(*(const __global T4*)(p + i))`` where i is a multiple of 4
    whatever the work item, and ``vstore4(v, 0, p + i)`` an assignment; others stay as they are.
    """
    return _aligned(source, global_pointers(source))


def _aligned(text: str, dtypes: Mapping[str, str]) -> str:
    parts, done = [], 0
    while (access := _ACCESS.search(text, done)) is not None:
        arguments, end = _arguments(text, access.end())
        *value, _, address = (_aligned(argument, dtypes) for argument in arguments)
        kind, lanes = access.group(1), int(access.group(2))
        place = _PLACE.fullmatch(address)
        parts.append(text[done : access.start()])
        if place is None or place[1] not in dtypes or multiple_of(place[2]) % lanes:
            parts.append(f"v{kind}{lanes}({', '.join([*value, '0', address])})")
        else:
            kind = f"__global {dtypes[place[1]]}{lanes}*"
            parts.append(
                f"*({kind})({address}) = {value[0]}" if value else f"(*(const {kind})({address}))"
            )
        done = end
    return "".join([*parts, text[done:]])


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """Of the call whose parenthesis opens before ``start``, and where it ends."""
    arguments: list[str] = []
    depth, begin = 0, start
    for place in range(start, len(text)):
        letter = text[place]
        if letter in "([{":
            depth += 1
        elif letter in ")]}" and depth:
            depth -= 1
        elif letter == ")":
            return [*arguments, text[begin:place].strip()], place + 1
        elif letter == "," and not depth:
            arguments.append(text[begin:place].strip())
            begin = place + 1
    raise AssertionError(f"no end of a call in {text[start:][:80]}")
