"""Import an exported PyTorch program into Relax.

First step of the compiler proper (:mod:`compile.pipeline`): what comes out is one function ``main``
in PyTorch's layout (NCHW) that still computes in float between dequantize and quantize.
"""

from __future__ import annotations

import tvm
from torch.export import ExportedProgram
from tvm.relax.frontend.torch.exported_program_translator import ExportedProgramImporter

from compile.frontend.check_program import check_program
from compile.frontend.converters import CONVERTERS
from compile.frontend.name_layers import name_layers
from compile.frontend.node_origin import module_of
from compile.graph.close_builder import close_builder
from compile.support.errors import GraphError


def import_program(program: ExportedProgram) -> tvm.IRModule:
    """The Relax module of ``program``, weights as constants, one function ``main`` whose calls say
    which layers they compute.

    Raises:
        GraphError: an operator that cannot be imported, named with the module it came from.
    """
    check_program(program)
    # As from_exported_program() does, but the importer is kept: it knows the variable of each node.
    importer = ExportedProgramImporter()
    try:
        mod = importer.from_exported_program(
            program,
            keep_params_as_input=False,
            unwrap_unit_return_tuple=True,
            no_bind_return_tuple=False,
            custom_convert_map=CONVERTERS,
        )
    except GraphError:
        close_builder(importer.block_builder)
        raise
    except Exception as error:  # Of one of TVM's converters, which do not say of which operator.
        close_builder(importer.block_builder)
        done = [node for node in program.graph.nodes if node in importer.env]
        raise GraphError(
            f"an operator behind {done[-1].name} in {module_of(done[-1])} cannot be imported "
            f"({type(error).__name__}: {error}): write it with others"
        ) from error
    return name_layers(mod, program, importer.env)
