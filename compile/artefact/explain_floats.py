"""Why operations that a scheme wants in int8 are computed in float: for the manifest and the table
of a build.

Some are never quantized, since no integer kernel computes what they do. Others are, and turn out to
be of a kind that the lowering does not take.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tvm
from torch.export import ExportedProgram
from tvm import relax

from compile.artefact.manifest import FloatOperation
from compile.graph.constants import Definitions, constant_value, definitions_of, variables_of
from compile.graph.layers import layers_of
from compile.graph.match_quantized_op import before_activations, match_quantized_op
from compile.graph.parts import HEAD, MAIN, parts_among
from compile.graph.quantized_graph import FloatOperand, NotLowerable, op_name
from compile.networks.network import Network
from compile.networks.parts import module_path
from compile.quantize.integer_kernels import why_not_quantized
from compile.quantize.precisions import operation_name, precisions_of
from compile.quantize.schemes import Precision, Scheme


def explain_floats(
    program: ExportedProgram,
    network: Network,
    scheme: Scheme,
    not_lowered: Iterable[FloatOperation],
    float_layers: Sequence[str],
) -> tuple[FloatOperation, ...]:
    """List the operations of ``program`` that ``scheme`` wants in int8 and that are in float.

    Args:
        program: the quantized ``network``.
        network: it.
        scheme: by which it was quantized.
        not_lowered: from :func:`list_not_lowered`.
        float_layers: modules that kernels with floats compute.
    """
    if not scheme.calibrates:
        return ()
    if network.scheme:
        return tuple(not_lowered)  # The network's file says what is wanted.
    wanted, in_float = dict[str, None](), set[str]()
    refused = []
    precisions = precisions_of(network.parts(program.graph), scheme, network.module_path)
    for node, precision in precisions.items():
        path = module_path(node)
        if precision is not Precision.INT8:
            in_float.add(path)
            continue
        wanted[path] = None
        reason = why_not_quantized(node)
        if reason and path in float_layers:
            refused.append(FloatOperation(path, operation_name(node), reason))
    found = [
        *refused,
        *(
            each
            for each in not_lowered
            if (each.module in wanted or each.module not in in_float)
            and (each.module, each.operation) not in {(r.module, r.operation) for r in refused}
        ),
    ]
    return tuple(dict.fromkeys(found))


def list_not_lowered(partitioned: tvm.IRModule) -> tuple[FloatOperation, ...]:
    """List the operations with int8 operands and an int8 result that no integer kernel computes, of
    a module from :func:`compile.pipeline.partition_network`."""
    functions = [var.name_hint for var in partitioned.get_global_vars()]
    parts = [part for part in parts_among(functions) if part.startswith(HEAD)]
    found = []
    for part in [MAIN, *parts]:
        definitions = definitions_of(partitioned[part])
        for var, value in definitions.items():
            if op_name(value) != "quantize":
                continue
            try:
                match_quantized_op(var, definitions)
            except FloatOperand:
                continue
            except NotLowerable as reason:
                source, _, _ = before_activations(value.args[0], definitions)
                call = definitions[source]
                if _reads_int8(call, definitions):
                    layer = (layers_of(call) or ("",))[-1]
                    name = op_name(call).removeprefix("nn.")
                    found.append(FloatOperation(layer, name, str(reason)))
    return tuple(dict.fromkeys(found))


def _reads_int8(call: relax.Expr, definitions: Definitions) -> bool:
    """Whether ``call``, or what it adds a constant to, has int8 operands alone. Another operation
    is not quantized, and has been named as such."""
    operands = [var for var in variables_of(call) if constant_value(var, definitions) is None]
    if op_name(call) == "add" and len(operands) == 1:
        inner = definitions.get(operands[0])
        if op_name(inner) != "dequantize":
            return _reads_int8(inner, definitions)
    return all(op_name(definitions.get(var)) == "dequantize" for var in operands)
