"""OpenCL C functions that our operators become, written in front of the kernels that call them.

TVM's code generator has no way to say these: a dot product, which is an extension with several
spellings, a word put together of bytes, a choice that is no branch, and a product that is rounded
before it is added to something.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from compile.codegen.opencl.dot_product import dot_product_function

_CALL = re.compile(r"\bmqnet_(dot4|word|choose_char|choose_int|product)_(\d+)\(")


def define_functions(source: str) -> str:
    """``source`` of a kernel with the functions that it calls in front."""
    called = {(name, int(lanes)) for name, lanes in _CALL.findall(source)}
    # Of several lanes it calls that of one.
    called |= {("dot4", 1) for name, _ in called if name == "dot4"}
    parts = [
        _once(f"MQNET_{name}_{lanes}".upper(), _WRITERS[name](f"mqnet_{name}_{lanes}", lanes))
        for name, lanes in sorted(called)
    ]
    return "".join([*parts, source])


# None of these functions is `inline`: that is C99's, and a driver that does not inline a call of
# one does not find it.


def _dot4(name: str, lanes: int) -> str:
    if lanes == 1:
        return dot_product_function(name)
    kind = _typed("int", lanes)
    calls = ", ".join(f"mqnet_dot4_1(sum.s{i}, a.s{i}, b.s{i})" for i in _PLACES[:lanes])
    return f"{kind} {name}({kind} sum, {kind} a, {kind} b) {{\n  return ({kind})({calls});\n}}\n"


def _word(name: str, lanes: int) -> str:
    """The words whose bytes are of four vectors of bytes."""
    kind, result, members = _typed("char", lanes), _typed("int", lanes), "abcd"
    lane = [f".s{i}" for i in _PLACES[:lanes]] if lanes > 1 else [""]
    words = ", ".join(f"as_int((char4)({', '.join(m + i for m in members)}))" for i in lane)
    parameters = ", ".join(f"{kind} {member}" for member in members)
    return f"{result} {name}({parameters}) {{\n  return ({result})({words});\n}}\n"


def _choose(dtype: str, name: str, lanes: int) -> str:
    """A function, so that TVM makes no branch of it: both values are there already."""
    kind = _typed(dtype, lanes)
    return f"{kind} {name}(int which, {kind} a, {kind} b) {{\n  return which ? a : b;\n}}\n"


def _product(name: str, lanes: int) -> str:
    """A product that nothing may fuse with an addition: its value is rounded by itself."""
    kind = _typed("float", lanes)
    body = "#pragma OPENCL FP_CONTRACT OFF\n  return a * b;\n"
    return f"{kind} {name}({kind} a, {kind} b) {{\n{body}}}\n"


_PLACES = "0123456789abcdef"
#: The name of a function and its lanes -> its text.
_WRITERS: dict[str, Callable[[str, int], str]] = {
    "dot4": _dot4,
    "word": _word,
    "choose_char": partial(_choose, "char"),
    "choose_int": partial(_choose, "int"),
    "product": _product,
}


def _typed(name: str, lanes: int) -> str:
    return name if lanes == 1 else f"{name}{lanes}"


def _once(guard: str, text: str) -> str:
    """A program has many kernels, each with its functions in front."""
    return f"#ifndef {guard}\n#define {guard}\n{text}#endif\n"
