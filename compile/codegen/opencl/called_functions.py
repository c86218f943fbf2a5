"""OpenCL C functions that kernels call, written in front of them.

TVM's code generator has no way to say these: a dot product, which is an extension with several
spellings, a word put together of bytes, a choice that is no branch, a product that is rounded
before it is added to something, a pointer to a vector, and a pixel of an image.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from compile.codegen.opencl.dot_product import dot_product_function

_CALL = re.compile(
    r"\bmqnet_(dot4|word|choose_char|choose_int|product|quantize|pixel|(?:load|store)_[a-z]+)"
    r"_(\d+)\("
)

#: Pixels of an image's row, as the runtime lays them out. OpenCL 1.2 has images of 8192 rows
#: (embedded profile: 2048), so that 8 MB of weights fit everywhere.
_ROW_BITS = 8


def define_functions(source: str) -> str:
    """``source`` of a kernel with the functions that it calls in front."""
    called = {(name, int(lanes)) for name, lanes in _CALL.findall(source)}
    # Of several lanes it calls that of one.
    called |= {("dot4", 1) for name, _ in called if name == "dot4"}
    parts = [
        _once(f"MQNET_{name}_{lanes}".upper(), _writer(name)(f"mqnet_{name}_{lanes}", lanes))
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


def _quantize(name: str, lanes: int) -> str:
    """Clamped, then rounded by an addition: at 1.5 * 2**23 a float's last bit is worth one, so its
    low byte is the integer's. Without a conversion to int32 and with an addition of four bytes at
    once, which wraps as the byte does, this is half the instructions on a Mali. Where the lower
    limit is the zero point, as behind a ReLU, its multiplication clamps there by itself."""
    value, result, byte = _typed("float", lanes), _typed("char", lanes), _typed("uchar", lanes)
    limits = (f"({value})(convert_float({limit} - zero))" for limit in ("low", "high"))
    return (
        (
            f"{result} {name}({value} value, int zero, int low, int high) {{\n"
            f"  {value} rounded = min(max(value, {{0}}), {{1}}) + 12582912.0f;\n"
            f"  return as_{result}(({byte})(convert_{byte}(as_{_typed('uint', lanes)}(rounded)) + "
            f"({byte})((uchar)zero)));\n"
            "}\n"
        )
        .replace("{0}", next(limits))
        .replace("{1}", next(limits))
    )


def _load(dtype: str, name: str, lanes: int) -> str:
    """A macro, so that it is a load wherever a driver does not inline: of the vector that begins at
    an address, which is a multiple of its size."""
    return f"#define {name}(address) (*(const __global {dtype}{lanes}*)(address))\n"


def _store(dtype: str, name: str, lanes: int) -> str:
    return f"#define {name}(address, value) (*(__global {dtype}{lanes}*)(address) = (value))\n"


def _pixel(name: str, lanes: int) -> str:
    """The pixel of an image that the word ``word`` is in."""
    return f"""\
int{lanes} {name}(__read_only image2d_t image, int word) {{
  int place = word >> 2;
  return read_imagei(image, (int2)(place & {(1 << _ROW_BITS) - 1}, place >> {_ROW_BITS}));
}}
"""


_PLACES = "0123456789abcdef"
#: The name of a function and its lanes -> its text.
_WRITERS: dict[str, Callable[[str, int], str]] = {
    "dot4": _dot4,
    "word": _word,
    "choose_char": partial(_choose, "char"),
    "choose_int": partial(_choose, "int"),
    "product": _product,
    "quantize": _quantize,
    "pixel": _pixel,
}
#: The kind of an access -> the same, of a type of OpenCL C.
_ACCESSES: dict[str, Callable[[str, str, int], str]] = {"load": _load, "store": _store}


def _writer(name: str) -> Callable[[str, int], str]:
    kind, _, dtype = name.partition("_")
    return partial(_ACCESSES[kind], dtype) if kind in _ACCESSES else _WRITERS[name]


def _typed(name: str, lanes: int) -> str:
    return name if lanes == 1 else f"{name}{lanes}"


def _once(guard: str, text: str) -> str:
    """A program has many kernels, each with its functions in front."""
    return f"#ifndef {guard}\n#define {guard}\n{text}#endif\n"
