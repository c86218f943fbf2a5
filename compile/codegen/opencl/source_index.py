"""What is known of the places that a kernel's text reads and writes."""

from __future__ import annotations

import ast
import re
from math import gcd

_POINTER = re.compile(r"__global (\w+)\* restrict (\w+)")


def global_pointers(source: str) -> dict[str, str]:
    """The element type of each pointer to global memory that a kernel of TVM takes, by its name."""
    return {name: dtype for dtype, name in _POINTER.findall(source)}


def closing_bracket(text: str, start: int) -> int:
    """Where the bracket of C's ``text`` ends that opens before ``start``."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[place], 0)
        if not depth:
            return place
    raise AssertionError(f"no end of a bracket in {text[start:][:80]}")


def syntax_tree(index: str) -> ast.expr | None:
    """``index``, an expression of C, as Python's tree, whose columns count from 1 in the text; None
    of what is spelled otherwise in Python, such as a condition."""
    # In brackets, since Python has a meaning for leading spaces; casts leave their places.
    try:
        return ast.parse(f"({index})".replace("(int)", "     "), mode="eval").body
    except SyntaxError:
        return None


def multiple_of(index: str) -> int:
    """The largest number known to divide ``index``, an expression of C; 0 is a multiple of all."""
    tree = syntax_tree(index)
    return 1 if tree is None else _divisor(tree)


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
