"""What the addresses in a kernel's loops have in common, computed once.

TVM writes each access as a pointer and one index. Mesa's compiler for Mali takes that at its word:
it computes every index from its beginning in each iteration, and scales it in 64 bits. So an index
in a loop is taken apart here: what no loop changes is a variable in front of all loops, a constant
comes last, and words are read at an index of bytes. LLVM does the former by itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from compile.codegen.opencl.image_reads import PIXEL
from compile.codegen.opencl.source_index import closing_bracket, global_pointers, syntax_tree

_KERNEL = re.compile(r"^__kernel void \w+\([^)]*\) \{\n", re.MULTILINE)
# The names in what is the same in all of a kernel; others are variables.
_FIXED = frozenset({"convert_int", "get_group_id", "get_local_id", "min", "max"})

#: Bytes of an element, where an index of bytes has 32 bits all the same: words are weights and
#: other constants. A picture of floats may have more than 2 GB.
_BYTES = {"int": 4}


@dataclass(frozen=True)
class _Index:
    """An index taken apart: two sums of texts and a number.

    Attributes:
        fixed: what no loop changes.
        varying: what a loop may change.
        constant: the number.
    """

    fixed: tuple[str, ...]
    varying: tuple[str, ...]
    constant: int


@dataclass
class _Bases:
    """Variables that are made in front of all loops, by what they are."""

    dtypes: Mapping[str, str]
    names: dict[str, str] = field(default_factory=dict)

    def name(self, value: str) -> str:
        """Of the variable that is ``value``."""
        return self.names.setdefault(value, f"base_{len(self.names)}")

    def declarations(self) -> str:
        """In OpenCL C."""
        return "".join(f"  int {name} = {value};\n" for value, name in self.names.items())


def share_addresses(source: str) -> str:
    """``source`` of one kernel as TVM writes it, its vector accesses as pointers and images."""
    kernel = _KERNEL.search(source)
    bases = _Bases(global_pointers(source))
    if kernel is None or not bases.dtypes:
        return source
    body = "".join(_rewritten(source[kernel.end() :], bases))
    return source[: kernel.end()] + bases.declarations() + body


def _rewritten(body: str, bases: _Bases) -> Iterator[str]:
    done = 0
    # As `(T4*)(pointer + index)` and `mqnet_pixel(image, word)`.
    pointers = "|".join(bases.dtypes)
    for access in re.finditer(rf"\*\)\(({pointers}) \+ |\b{PIXEL}\(\w+, ", body):
        end = closing_bracket(body, access.end())
        index = _taken_apart(body[access.end() : end])
        # Where no loop changes it, its parts would only be alive for longer.
        if index is not None and index.varying:
            yield body[done : access.start()] + _written(access, index, bases)
            done = end
    yield body[done:]


def _written(access: re.Match[str], index: _Index, bases: _Bases) -> str:
    """The access without the bracket that closes it."""
    pointer = access[1]
    size = _BYTES.get(bases.dtypes[pointer], 1) if pointer else 1
    head = access[0] if size == 1 else f"*)((__global char*){pointer} + "
    fixed = [bases.name(_scaled(index.fixed, size))] if index.fixed else []
    total = " + ".join([*fixed, _scaled(index.varying, size)])
    return f"{head}(({total}) + {index.constant * size})"


def _scaled(terms: tuple[str, ...], size: int) -> str:
    total = f"({' + '.join(terms)})"
    return total if size == 1 else f"({total} * {size})"


def _taken_apart(text: str) -> _Index | None:
    """None of what is more than a sum of products, such as a condition."""
    tree = syntax_tree(text)
    if tree is None:
        return None
    fixed: list[str] = []
    varying: list[str] = []
    constant = 0
    for sign, term in _terms(tree, 1):
        if isinstance(term, ast.Constant):
            assert isinstance(term.value, int), f"an index of {text}"
            constant += sign * term.value
            continue
        names = {node.id for node in ast.walk(term) if isinstance(node, ast.Name)}
        assert term.end_col_offset is not None
        part = text[term.col_offset - 1 : term.end_col_offset - 1]
        written = f"{'-' if sign < 0 else ''}({part})"
        (fixed if names <= _FIXED else varying).append(written)
    return _Index(tuple(fixed), tuple(varying), constant)


def _terms(node: ast.expr, sign: int) -> Iterator[tuple[int, ast.expr]]:
    match node:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from _terms(left, sign)
            yield from _terms(right, sign)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            yield from _terms(left, sign)
            yield from _terms(right, -sign)
        case _:
            yield sign, node
