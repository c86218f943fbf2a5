"""OpenCL C's vector loads and stores, by pointers to vectors wherever their alignment is known.

`vload16(0, p)` promises no more than that p is aligned as one element. Arm's compiler makes one
load of it all the same; Mesa's, which RK3588 boards have where Arm's driver is not installed, makes
sixteen of one byte each. A pointer to a vector says that p is aligned as the whole vector, and
costs one load everywhere. TVM's code generator writes only the former, so its text is rewritten:
buffers are aligned to more than any vector (CL_DEVICE_MEM_BASE_ADDR_ALIGN), and what an index is a
multiple of is seen in its terms.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from math import gcd

_POINTER = re.compile(r"__global (\w+)\* restrict (\w+)")
_ACCESS = re.compile(r"\bv(load|store)(2|4|8|16)\(")
_PLACE = re.compile(r"(\w+) \+ (.*)", re.DOTALL)


def align_accesses(source: str) -> str:
    """``source`` of kernels as TVM writes them, with pointers for aligned accesses.

    ``vload4(0, p + i)`` becomes ``(*(const __global T4*)(p + i))`` where i is a multiple of 4
    whatever the work item, and ``vstore4(v, 0, p + i)`` an assignment; others stay as they are.
    """
    return _aligned(source, dict((name, dtype) for dtype, name in _POINTER.findall(source)))


def _aligned(text: str, dtypes: Mapping[str, str]) -> str:
    parts, done = [], 0
    while (access := _ACCESS.search(text, done)) is not None:
        arguments, end = _arguments(text, access.end())
        *value, _, address = (_aligned(argument, dtypes) for argument in arguments)
        kind, lanes = access.group(1), int(access.group(2))
        place = _PLACE.fullmatch(address)
        parts.append(text[done : access.start()])
        if place is None or place[1] not in dtypes or _multiple_of(place[2]) % lanes:
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
    arguments, depth, begin = [], 0, start
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


def _multiple_of(index: str) -> int:
    """The largest number known to divide ``index``, an expression of C; 0 is a multiple of all."""
    try:
        return _divisor(ast.parse(index.replace("(int)", ""), mode="eval").body)
    except SyntaxError:
        # A condition, which is spelled otherwise in Python.
        return 1


def _divisor(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return abs(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _divisor(operand)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _divisor(left) * _divisor(right)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return gcd(_divisor(left), _divisor(right))
        case ast.BinOp(left=left, op=ast.LShift(), right=ast.Constant(value=int(bits))):
            return _divisor(left) << bits
    return 1
