"""A GPU kernel's weights in an image, which is read through the texture unit and its own cache.

A kernel reads them from a buffer, or from an image whose pixels are four packed int8x4 each: which
is faster, only the device tells. So it is part of the schedule's configuration
(:mod:`compile.kernels.gpu.gpu_convolution`), and an annotation of the block that multiplies. A pass
behind TVM's own turns the loads into those of pixels (:mod:`compile.codegen.opencl.read_images`);
the runtime makes the image out of the buffer that it is given (`device/opencl/src/buffers.cc`).

The image has two dimensions: one of a single dimension could lie on the buffer without a copy, but
a Mali reads that through its load/store unit again, as Mesa's compiler has it.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx
from tvm.s_tir.schedule import SBlockRV

from compile.kernels.common.kernel_function import factors_of

#: Weights of a pixel: a vector of so many is one load.
PIXEL_LANES = 4

_ANNOTATION = "mqnet.image_operand"


def read_from_image(sch: s_tir.Schedule, conv: SBlockRV) -> None:
    """Mark the weights that the block ``conv`` reads, its last operand; they are loaded by vectors
    of four int32."""
    function, weight = sch.mod[sch.func_working_on], factors_of(sch.get(conv))[-1].source
    # By its place: a record is replayed on kernels whose operands have other names.
    (place,) = (n for n, name in enumerate(function.params) if name.same_as(weight))
    sch.annotate(conv, _ANNOTATION, place)


def image_operands(mod: tvm.IRModule) -> dict[str, frozenset[str]]:
    """By the name of a function of ``mod``, the operands that its kernel reads from images."""
    sch = s_tir.Schedule(mod, enable_check=False)
    found = {}
    for name, function in mod.functions_items():
        if isinstance(function, tirx.PrimFunc):
            sch.work_on(name.name_hint)
            blocks = map(sch.get, sch.get_child_blocks(sch.get_sblock("root")))
            marks = [block.annotations.get(_ANNOTATION) for block in blocks]
            places = {int(mark) for mark in marks if mark is not None}
            found[name.name_hint] = frozenset(str(function.params[n].name) for n in places)
    return {name: operands for name, operands in found.items() if operands}
