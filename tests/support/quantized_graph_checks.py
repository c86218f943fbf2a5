"""What the integer compiler takes for granted in a converted graph, stated as checks.

A graph that passes has int8 on every edge of an int8 part, each tensor quantized once, and one
scale and zero point wherever bytes are only moved.
"""

from __future__ import annotations

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from compile.networks.quantized_ops import DEQUANTIZE, DEQUANTIZE_PER_CHANNEL, QUANTIZE

aten = torch.ops.aten

RELUS = (aten.relu.default, aten.hardtanh.default, aten.relu6.default)
ARITHMETIC = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor)
ONE_INPUT = (
    aten.conv2d.default,
    aten.sigmoid.default,
    aten.tanh.default,
    aten.adaptive_avg_pool2d.default,
    aten.upsample_nearest2d.vec,
    aten.instance_norm.default,
    *RELUS,
)
COMPUTE = (*ONE_INPUT, *ARITHMETIC, aten.cat.default)


def module_path(node: Node) -> str:
    return list(node.meta["nn_module_stack"].values())[-1][0]


def part(node: Node) -> str:
    return "backbone" if module_path(node).startswith("net.backbone") else "head"


def calls(program: ExportedProgram, *targets: object) -> list[Node]:
    return [n for n in program.graph.nodes if n.op == "call_function" and n.target in targets]


def compute(program: ExportedProgram, part_name: str) -> list[Node]:
    return [n for n in calls(program, *COMPUTE) if part(n) == part_name]


def inputs(node: Node) -> list[Node]:
    if node.target is aten.cat.default:
        return list(node.args[0])
    count = 2 if node.target in ARITHMETIC else 1
    return [arg for arg in node.args[:count] if isinstance(arg, Node)]


def is_scaling(node: Node) -> bool:
    return node.target in ARITHMETIC and len(inputs(node)) == 1


def qparams(node: Node) -> tuple[float, int]:
    """Scale and zero point of a quantize or dequantize node, after checking its int8 range."""
    assert node.args[3:6] == (-128, 127, torch.int8)
    return node.args[1], node.args[2]


def output_qparams(node: Node) -> tuple[float, int]:
    """Scale and zero point of what ``node`` produces: it must be quantized, and exactly once."""
    (user,) = node.users
    assert user.target is QUANTIZE, f"{module_path(node)}: {node.name} is read by {user.name}"
    return qparams(user)


def input_qparams(node: Node) -> list[tuple[float, int]]:
    """Scales and zero points of what ``node`` reads: all of it must be int8."""
    for source in inputs(node):
        assert source.target is DEQUANTIZE, f"{module_path(node)}: {node.name} reads {source.name}"
        assert qparams(source) == qparams(source.args[0])
    return [qparams(source) for source in inputs(node)]


def check_int8_part(program: ExportedProgram, part_name: str) -> None:
    """Every operation reads and writes int8; a convolution and its ReLU count as one."""
    nodes = compute(program, part_name)
    assert nodes
    for node in nodes:
        users = list(node.users)
        fused = node.target in RELUS and inputs(node)[0].target is aten.conv2d.default
        if not fused and not is_scaling(node):
            read = input_qparams(node)
            if node.target in (aten.cat.default, aten.upsample_nearest2d.vec):
                assert {*read, output_qparams(node)} == {read[0]}
        if is_scaling(node) and any(is_scaling(user) for user in users):
            continue
        if node.target is aten.conv2d.default and any(user.target in RELUS for user in users):
            assert len(users) == 1
            continue
        written = output_qparams(node)
        if is_scaling(node):
            assert written == (float(torch.tensor(1 / 127)), 0)
        if node.target is aten.sigmoid.default:
            assert written == (1 / 256, -128)
        if node.target is aten.tanh.default:
            assert written == (1 / 128, 0)


def check_weights(program: ExportedProgram, part_name: str) -> int:
    """Every convolution has int8 weights, symmetric per output channel; how many there are."""
    convolutions = [n for n in compute(program, part_name) if n.target is aten.conv2d.default]
    names = program.graph_signature.inputs_to_buffers
    for conv in convolutions:
        dequantize = conv.args[1]
        assert dequantize.target is DEQUANTIZE_PER_CHANNEL, module_path(conv)
        assert dequantize.args[3:7] == (0, -127, 127, torch.int8)
        weight, scale, zero_point = (
            program.state_dict[names[arg.name]] for arg in dequantize.args[:3]
        )
        assert names[dequantize.args[0].name] == f"{module_path(conv)}.weight"
        assert weight.dtype == torch.int8 and weight.min() >= -127
        assert scale.shape == (weight.shape[0],) and not zero_point.any()
        _check_bias_fits_int32(program, conv, scale)
    return len(convolutions)


def _check_bias_fits_int32(program: ExportedProgram, conv: Node, scale: torch.Tensor) -> None:
    source = conv.args[0]
    if len(conv.args) < 3 or conv.args[2] is None or source.target is not DEQUANTIZE:
        return
    name = program.graph_signature.inputs_to_parameters[conv.args[2].name]
    steps = program.state_dict[name].double() / (qparams(source)[0] * scale.double())
    assert steps.abs().max() < 2**30, module_path(conv)


def check_named_and_alive(program: ExportedProgram) -> None:
    """Every operation knows its module, and nothing is carried along unread."""
    for node in calls(program, *COMPUTE):
        assert module_path(node).startswith("net")
    for node in program.graph.nodes:
        assert node.op != "placeholder" or node.users, f"nothing reads {node.name}"
