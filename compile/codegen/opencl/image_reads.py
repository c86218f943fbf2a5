"""A kernel's loads of weights out of images (:mod:`compile.kernels.gpu.image_weights`)."""

from __future__ import annotations

import re
from collections.abc import Collection

from compile.codegen.opencl.source_index import global_pointers

#: Pixels of a row, as the runtime lays them out. OpenCL 1.2 has images of 8192 rows (embedded
#: profile: 2048), so that 8 MB of weights fit everywhere.
_ROW_BITS = 8

#: Of a kernel, with an image and the place of a word.
PIXEL = "mqnet_pixel"
_SOURCE = f"""\
#ifndef MQNET_PIXEL
#define MQNET_PIXEL
int4 {PIXEL}(__read_only image2d_t image, int word) {{
  int place = word >> 2;
  return read_imagei(image, (int2)(place & {(1 << _ROW_BITS) - 1}, place >> {_ROW_BITS}));
}}
#endif
"""


def read_images(source: str, operands: Collection[str]) -> str:
    """``source`` of a kernel whose accesses are by vectors, with images in place of the pointers
    to ``operands``."""
    for operand in operands:
        source = _read_image(source, operand)
    return _SOURCE + source if operands else source


def _read_image(source: str, operand: str) -> str:
    assert global_pointers(source)[operand] == "int", f"{operand} is of no words"
    source, parameters = re.subn(
        rf"__global int\* restrict {operand}\b", f"__read_only image2d_t {operand}", source
    )
    # The bracket that closes the pointer's expression closes the call.
    source, loads = re.subn(
        rf"\(\*\(const __global int4\*\)\({operand} \+ ", f"({PIXEL}({operand}, ", source
    )
    others = len(re.findall(rf"\b{operand}\b", source)) - parameters - loads
    assert parameters == 1 and loads and not others, f"{operand} is not read by vectors of words"
    return source
