"""A kernel's loads of weights out of images (:mod:`compile.kernels.gpu.image_weights`)."""

from __future__ import annotations

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import PointerType, PrimType, TensorLoad, Var

from compile.codegen.opencl.vector_access import called_name, global_buffers

#: Attribute of a device function: names of the parameters that become images.
IMAGES = "mqnet.images"

#: C function of an image and the place of a word: the four words of the pixel there.
PIXEL = "mqnet_pixel_4"

# Four int32, as `vector_access.load_vector` loads them.
_LOAD = "mqnet_load_int_4"


@tirx.transform.prim_func_pass(opt_level=0, name="ReadImages")
def read_images(
    function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext
) -> tirx.PrimFunc:
    """Read the parameters that a device function's attribute ``mqnet.images`` names from images,
    where its accesses are by aligned vectors.

    Raises:
        AssertionError: one is read otherwise than by vectors of four int32.
    """
    names = {str(name) for name in (function.attrs or {}).get(IMAGES, ())}
    if not names:
        return function
    texture = PointerType(PrimType("int32"), "global.texture")
    images = {param: Var(param.name, texture) for param in function.params if param.name in names}
    assert {param.name for param in images} == names
    buffers = {
        buffer: images[param]
        for buffer, param in global_buffers(function).items()
        if param in images
    }

    def load(call: tvm.ir.Call) -> tirx.Expr:
        if called_name(call) != _LOAD:
            return call
        element = call.args[1].args[0]
        if element.source not in buffers:
            return call
        return tirx.call_pure_extern(call.ty, PIXEL, buffers[element.source], element.indices[0])

    def declare(node: tirx.DeclBuffer) -> tirx.Stmt:
        return tirx.Evaluate(0) if node.buffer in buffers else node

    body = tvm_ffi.structural_map(function.body, [(tvm.ir.Call, load), (tirx.DeclBuffer, declare)])

    def check(element: TensorLoad) -> None:
        assert element.source not in buffers, f"{element} is no vector of an image"

    tvm_ffi.structural_walk(body, (TensorLoad, check))
    params = [images.get(param, param) for param in function.params]
    return tirx.PrimFunc(params, body, function.ret_type, function.attrs)
