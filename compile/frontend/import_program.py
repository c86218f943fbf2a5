"""Import an exported PyTorch program into Relax.

First step of the compiler proper (:mod:`compile.pipeline`): what comes out is one function ``main``
in PyTorch's layout (NCHW) that still computes in float between dequantize and quantize.
"""

from __future__ import annotations

import tvm
from torch.export import ExportedProgram
from tvm.relax.frontend.torch import from_exported_program

from compile.frontend.check_program import check_program
from compile.frontend.convolution import CONVOLUTION
from compile.frontend.quantized_ops import QUANTIZED_OPS


def import_program(program: ExportedProgram) -> tvm.IRModule:
    """The Relax module of ``program``, weights as constants, one function ``main``.

    Raises:
        GraphError: an operator that cannot be imported, named with the module it came from.
    """
    check_program(program)
    return from_exported_program(
        program,
        custom_convert_map={**QUANTIZED_OPS, **CONVOLUTION},
        run_ep_decomposition=False,
        unwrap_unit_return_tuple=True,
    )
