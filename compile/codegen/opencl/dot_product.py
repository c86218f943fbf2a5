"""Four products of int8 added to an int32, in OpenCL C: whichever spelling the driver knows.

The same chip has another driver on another system (an RK3588 Arm's or Mesa's), and each names the
instruction by its own extension; so it is chosen when the kernel is compiled for the device, by a
macro for each of these extensions that the device has (`device/opencl/src/compile_program.cc`).
"""

from __future__ import annotations

#: The extensions that give a kernel the instruction, the preferred first, with what they call it.
EXTENSIONS = {
    "cl_arm_integer_dot_product_accumulate_int8": "arm_dot_acc(as_char4(a), as_char4(b), sum)",
    "cl_khr_integer_dot_product": "sum + dot(as_char4(a), as_char4(b))",
    "cl_arm_integer_dot_product_int8": "sum + arm_dot(as_char4(a), as_char4(b))",
}

#: In front of an extension's name, the macro's.
MACRO = "MQNET_HAS_"

_DEFINITION = (
    "sum + (int)as_char4(a).x * as_char4(b).x + (int)as_char4(a).y * as_char4(b).y + "
    "(int)as_char4(a).z * as_char4(b).z + (int)as_char4(a).w * as_char4(b).w"
)


def dot_product_function(name: str) -> str:
    """Source of ``int name(int sum, int a, int b)``: ``sum`` plus the products of the bytes of the
    words ``a`` and ``b``."""
    lines = [f"int {name}(int sum, int a, int b) {{"]
    for place, (extension, call) in enumerate(EXTENSIONS.items()):
        lines.append(f"#{'elif' if place else 'if'} defined({MACRO}{extension})")
        lines.append(f"#pragma OPENCL EXTENSION {extension} : enable")
        lines.append(f"  return {call};")
    return "\n".join([*lines, "#else", f"  return {_DEFINITION};", "#endif", "}", ""])
