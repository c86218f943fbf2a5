"""OpenCL C functions that our operators become, written in front of the kernels that call them.

TVM's code generator has no way to say these: a dot product, which is an extension with several
spellings, and a product that is rounded before it is added to something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import tvm
import tvm_ffi

from compile.errors import TargetError
from compile.kernels.aligned_access import align_accesses
from compile.kernels.opencl_dot_product import dot_product_function
from targets.load_target import TargetSpec

#: What TVM calls, if there is such a function, with the source of each kernel.
_HOOK = "tvm_callback_opencl_postproc"

# None of these functions is `inline`: that is C99's, and a driver that does not inline a call of
# one does not find it.

# A product that nothing may fuse with an addition: its value is rounded by itself.
_ROUNDED_PRODUCT = """\
{type} mqnet_product_{lanes}({type} a, {type} b) {{
#pragma OPENCL FP_CONTRACT OFF
  return a * b;
}}
"""
_DECLARATION = re.compile(r"^__kernel void [^{}]*?;\n", re.MULTILINE)
# The accumulator goes into the call: an instruction multiplies and adds.
_SUM_OF_DOT = re.compile(r"\((\w+(?:\[\d+\])?) \+ mqnet_dot4_(\d+)\(")
_CALL = re.compile(r"\bmqnet_(dot4|product)_(\d+)\(")


def kernel_sources(spec: TargetSpec) -> AbstractContextManager[None]:
    """To be entered where kernels for ``spec`` are built: a GPU's are OpenCL C, and call functions
    that have to be written in front of them."""
    return nullcontext() if spec.opencl is None else opencl_functions()


@contextmanager
def opencl_functions() -> Iterator[None]:
    """While a module is built: what its kernels call is written in front of them."""
    if tvm_ffi.get_global_func(_HOOK, allow_missing=True) is not None:
        raise TargetError(f"{_HOOK} is set already: OpenCL modules are built one at a time")

    @tvm_ffi.register_global_func(_HOOK)
    def complete(source: str, _target: tvm.target.Target) -> str:
        return complete_source(source)

    try:
        yield
    finally:
        tvm_ffi.registry.remove_global_func(_HOOK)


def complete_source(source: str) -> str:
    """``source`` of a kernel with the functions that it calls in front, its aligned accesses by
    pointers, and without declarations: those of all other kernels of the program, called by
    nobody, are most of its text."""
    source = _SUM_OF_DOT.sub(r"(mqnet_dot4_\2(\1, ", _DECLARATION.sub("", source))
    source = align_accesses(source)
    called = {(name, int(lanes)) for name, lanes in _CALL.findall(source)}
    dots = sorted(lanes for name, lanes in called if name == "dot4")
    parts = [_dot_functions(dots)] if dots else []
    for lanes in sorted(lanes for name, lanes in called if name == "product"):
        text = _ROUNDED_PRODUCT.format(type=_typed("float", lanes), lanes=lanes)
        parts.append(_once(f"MQNET_PRODUCT_{lanes}", text))
    return "".join(parts) + source


def _dot_functions(lanes: list[int]) -> str:
    parts = [_once("MQNET_DOT4_1", dot_product_function("mqnet_dot4_1"))]
    for n in lanes:
        if n > 1:
            kind, places = _typed("int", n), "0123456789abcdef"[:n]
            calls = ", ".join(f"mqnet_dot4_1(sum.s{i}, a.s{i}, b.s{i})" for i in places)
            text = f"{kind} mqnet_dot4_{n}({kind} sum, {kind} a, {kind} b) {{\n"
            parts.append(_once(f"MQNET_DOT4_{n}", f"{text}  return ({kind})({calls});\n}}\n"))
    return "".join(parts)


def _typed(name: str, lanes: int) -> str:
    return name if lanes == 1 else f"{name}{lanes}"


def _once(guard: str, text: str) -> str:
    """A program has many kernels, each with its functions in front."""
    return f"#ifndef {guard}\n#define {guard}\n{text}#endif\n"
