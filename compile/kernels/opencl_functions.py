"""OpenCL C functions that our operators become, written in front of the kernels that call them.

TVM's code generator has no way to say these: a dot product, which is an extension with several
spellings, a word put together of bytes, a choice that is no branch, and a product that is rounded
before it is added to something.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import tvm
import tvm_ffi

from compile.errors import TargetError
from compile.kernels.aligned_access import align_accesses
from compile.kernels.base_addresses import share_addresses
from compile.kernels.image_weights import image_operands, read_images
from compile.kernels.joined_loads import join_loads
from compile.kernels.opencl_dot_product import dot_product_function
from targets.load_target import TargetSpec

#: What TVM calls, if there is such a function, with the source of each kernel.
_HOOK = "tvm_callback_opencl_postproc"

# A kernel has the name of TVM's function with something behind it.
_FUNCTION = re.compile(r"^__kernel void (\w+?)_kernel(?:_\d+)?\(", re.MULTILINE)
_DECLARATION = re.compile(r"^__kernel void [^{}]*?;\n", re.MULTILINE)
# The accumulator goes into the call: an instruction multiplies and adds.
_SUM_OF_DOT = re.compile(r"\((\w+(?:\[\d+\])?) \+ mqnet_dot4_(\d+)\(")
_CALL = re.compile(r"\bmqnet_(dot4|word|choose_char|choose_int|product)_(\d+)\(")


def kernel_sources(spec: TargetSpec, mod: tvm.IRModule) -> AbstractContextManager[None]:
    """To be entered where the kernels of ``mod``, which have their schedules, are built for
    ``spec``: a GPU's are OpenCL C, and call functions that have to be written in front of them."""
    return nullcontext() if spec.opencl is None else opencl_functions(image_operands(mod))


@contextmanager
def opencl_functions(images: Mapping[str, Collection[str]]) -> Iterator[None]:
    """While a module is built: what its kernels call is written in front of them, and the operands
    that ``images`` has of a function are read from images."""
    if tvm_ffi.get_global_func(_HOOK, allow_missing=True) is not None:
        raise TargetError(f"{_HOOK} is set already: OpenCL modules are built one at a time")

    @tvm_ffi.register_global_func(_HOOK)
    def complete(source: str, _target: tvm.target.Target) -> str:
        return complete_source(source, images)

    try:
        yield
    finally:
        tvm_ffi.registry.remove_global_func(_HOOK)


def complete_source(source: str, images: Mapping[str, Collection[str]]) -> str:
    """``source`` of a kernel with the functions that it calls in front, its accesses by vectors,
    and the operands that ``images`` has of its function in images; without declarations: those of
    all other kernels of the program, called by nobody, are most of its text."""
    source, sums = _SUM_OF_DOT.subn(r"(mqnet_dot4_\2(\1, ", _DECLARATION.sub("", source))
    assert sums == source.count("mqnet_dot4_"), "a dot product that is added to nothing"
    operands = images.get(_FUNCTION.search(source)[1], ())
    source = read_images(join_loads(align_accesses(source)), [f"{name}_ptr" for name in operands])
    source = share_addresses(source)
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
_WRITERS = {
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
