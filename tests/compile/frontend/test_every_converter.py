"""Converters of everything that a network may use, compared with PyTorch on random numbers.

Many functions are one network with as many results: each is built once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
import tvm
from torch import Tensor, nn
from torch.nn import functional as F
from tvm import relax

from compile.frontend.compared_ops import COMPARED_OPS
from compile.frontend.converters import CONVERTERS
from compile.frontend.import_program import import_program
from compile.support.errors import GraphError

SHAPE = (1, 4, 6, 7)
_RNG = np.random.default_rng(0)


def drawn(*shape: int) -> Tensor:
    return torch.from_numpy(_RNG.standard_normal(shape, np.float32))


OTHER, POSITIVE = drawn(*SHAPE), drawn(*SHAPE).abs() + 0.1
FOUR, FOUR_MORE, VARIANCE = drawn(4), drawn(4), drawn(4).abs() + 0.1
SEVEN, SEVEN_MORE = drawn(7), drawn(7)
DENSE, FILTER, GROUPED = drawn(7, 5), drawn(5, 4, 3, 3), drawn(6, 2, 3, 3)
MATRIX = drawn(5, 7)
TRANSPOSED = drawn(4, 5, 3, 3)
INDEX = torch.tensor([3, 0, 1])

Function = Callable[[Tensor], Tensor]

ARITHMETIC: dict[str, Function] = {
    "add": lambda x: x + OTHER,
    "add alpha": lambda x: torch.add(x, OTHER, alpha=2),
    "subtract alpha": lambda x: torch.sub(x, OTHER, alpha=3),
    "add number alpha": lambda x: torch.add(x, 3, alpha=2),
    "in place": lambda x: (x * 1).add_(2).mul_(OTHER),
    "from": lambda x: 1.0 - x,
    "divide": lambda x: x / POSITIVE,
    "by": lambda x: 2 / (x * x + 1),
    "remainder": lambda x: torch.remainder(x, 0.7),
    "remainder of zero": lambda x: torch.fmod(x, 0.7),
    "floor divide": lambda x: x // 0.7,
    "modes": lambda x: (
        torch.div(x, 0.7, rounding_mode="floor") - torch.div(x, 0.7, rounding_mode="trunc")
    ),
    "maximum": lambda x: torch.maximum(x, OTHER) * torch.minimum(x, OTHER),
    "max of two": lambda x: torch.max(x, OTHER) * torch.min(x, OTHER),
    "power": lambda x: x**2 + x**3 + (x * x + 0.1) ** 0.45,
    "power of": lambda x: 2**x,
    "power of tensors": lambda x: POSITIVE**x,
    "atan2": lambda x: torch.atan2(x, OTHER),
    "logaddexp": lambda x: torch.logaddexp(x, OTHER),
    "compare": lambda x: (x > OTHER).float() + (x < 0.1).float() + (x <= OTHER).float(),
    "compare more": lambda x: (x >= 0.1).float() + (x == x).float() + (x != OTHER).float(),
    "compare numbers": lambda x: (x > 0.1).float() + (x <= 0.2).float() + (x == 0).float(),
    "compare the rest": lambda x: (x >= OTHER).float() + (x < OTHER).float() + (x != 0).float(),
    "logic": lambda x: ((x > 0) & (x < 0.5) | (x > 1)).float(),
    "more logic": lambda x: torch.logical_xor(x > 0, OTHER > 0).float(),
    "not": lambda x: torch.logical_not(x > 0).float() + (~(x > 1)).float(),
    "where": lambda x: torch.where(x > 0, x, OTHER),
    "masked": lambda x: x.masked_fill(x > 0, 0.5),
    "clamp": lambda x: x.clamp(-0.3, 0.7) + x.clamp(min=0.1) + x.clamp(max=0.1),
    "limits": lambda x: torch.clamp_max(x, 0.1) + torch.clamp_min(x, -0.1),
    "clamp by tensors": lambda x: x.clamp(OTHER * 0 - 0.5, OTHER * 0 + 0.5),
}
CURVES: dict[str, Function] = {
    "abs": lambda x: x.abs() - (-x),
    "roots": lambda x: (x * x + 1).sqrt() + (x * x + 1).rsqrt() + (x * x + 1).reciprocal(),
    "square": torch.square,
    "exponentials": lambda x: x.exp() + torch.expm1(x) + torch.erf(x),
    "logarithms": lambda x: (x * x + 0.1).log() + (x * x).log1p(),
    "other logarithms": lambda x: (x * x + 1).log2() + (x * x + 1).log10(),
    "sines": lambda x: x.sin() + x.cos() + x.tan().clamp(-9, 9) + x.sinh() + x.cosh(),
    "arcs": lambda x: x.tanh().asin() + x.tanh().acos() + x.atan(),
    "hyperbolic arcs": lambda x: x.asinh() + (1.5 + x * x).acosh() + (x.tanh() * 0.9).atanh(),
    "steps": lambda x: x.floor() + x.ceil() + x.trunc() + x.sign(),
    "round": lambda x: torch.round((x * 4).floor() / 2) + torch.round(x, decimals=1),
    "relus": lambda x: F.relu(x) + F.relu6(x * 4) + F.hardtanh(x, -0.3, 0.7) + (x * 1).relu_(),
    "leaky": lambda x: F.leaky_relu(x, 0.2) + F.leaky_relu_(x * 1, 0.3),
    "units": lambda x: F.elu(x, 0.7) + F.celu(x, 0.7) + F.selu(x),
    "gates": lambda x: F.silu(x) + F.sigmoid(x) + torch.tanh(x),
    "gelu": lambda x: F.gelu(x) - 2 * F.gelu(x, approximate="tanh"),
    "hard": lambda x: F.hardswish(x) + F.hardsigmoid(x),
    "soft": lambda x: F.softplus(x, 2, 0.5) + F.softshrink(x, 0.3) + F.softsign(x),
    "in place": lambda x: F.relu6(x * 4, inplace=True) + F.hardtanh(x * 1, -0.3, 0.7, inplace=True),
    "gates in place": lambda x: F.silu(x * 1, inplace=True) + F.hardswish(x * 1, inplace=True),
    "prelu": lambda x: F.prelu(x, FOUR),
    "softmax": lambda x: F.softmax(x, 1) + F.softmax(x, -1),
    "log softmax": lambda x: F.log_softmax(x, 1),
    "dropout": lambda x: F.dropout(x, 0.5, False),
}
NORMS: dict[str, Function] = {
    "batch": lambda x: F.batch_norm(x, FOUR, VARIANCE, FOUR_MORE, FOUR, False, 0.1, 0.5),
    "batch without weights": lambda x: F.batch_norm(x, FOUR, VARIANCE, None, None, False, 0.3, 0.5),
    "instance": lambda x: F.instance_norm(x, None, None, FOUR, FOUR_MORE, True, 0.1, 0.5),
    "layer": lambda x: F.layer_norm(x, [7], SEVEN, SEVEN_MORE, 0.5),
    "layer without weights": lambda x: F.layer_norm(x, [6, 7], eps=0.5),
    "layer without a bias": lambda x: F.layer_norm(x, [7], SEVEN),
    "group": lambda x: F.group_norm(x, 2, FOUR, FOUR_MORE, 0.5),
    "group without weights": lambda x: F.group_norm(x, 2, eps=0.5),
    "group without a bias": lambda x: F.group_norm(x, 4, FOUR),
    "to length 1": lambda x: F.normalize(x, dim=1),
}
SUMS: dict[str, Function] = {
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "mean of channels": lambda x: x.mean(1),
    "of all": lambda x: x.mean().reshape(1) + x.sum().reshape(1) + x.max().reshape(1),
    "sum": lambda x: x.sum((2, 3)),
    "largest": lambda x: x.amax((2, 3)),
    "largest of channels": lambda x: x.max(1)[0],
    "median": lambda x: x.median(1)[0],
    "places": lambda x: (x.argmax(1) - 2 * x.argmin(1)).float(),
    "lengths": lambda x: x.norm(dim=1) + torch.linalg.vector_norm(x, 1, 1),
    "running": lambda x: x.cumsum(1) + x.cumprod(1),
    "sorted": lambda x: x.sort(1)[0],
    "top": lambda x: x.topk(2, 1)[0],
    "any": lambda x: (x > 1.5).any(1).float(),
}
MOVES: dict[str, Function] = {
    "cat": lambda x: torch.cat([x, OTHER], 1),
    "concat": lambda x: torch.concat([x, OTHER], 2),
    "as": lambda x: x.reshape(1, 8, 3, 7).reshape_as(x) + x[:, :1, :1].squeeze().sum(),
    "stack": lambda x: torch.stack([x, OTHER], 1),
    "chunk": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "split": lambda x: torch.cat([*x.split([1, 3], 1)[::-1], x.split(3, 1)[1]], 1),
    "unbind": lambda x: x.unbind(1)[2],
    "narrow": lambda x: x.narrow(2, 1, 3),
    "narrow from behind": lambda x: x.narrow(3, -4, 2),
    "slice": lambda x: x[:, 1:, ::2, 1:-1],
    "last": lambda x: x[..., -3:],
    "select": lambda x: x[:, 2] + x[:, -1],
    "flip": lambda x: x.flip(3),
    "roll": lambda x: x.roll((1, 2), (2, 3)),
    "repeat": lambda x: x.repeat(1, 2, 1, 3),
    "tile": lambda x: x.tile(2, 3),
    "expand": lambda x: x[:, :1].expand(1, 4, 6, 7) + x[:, :1].expand_as(OTHER),
    "permute": lambda x: x.permute(0, 2, 3, 1).contiguous(),
    "transpose": lambda x: x.transpose(1, 2).clone(),
    "reshape": lambda x: x.reshape(1, 8, 3, 7),
    "view": lambda x: x.view(1, 2, 2, 6, 7),
    "flatten": lambda x: x.flatten(1).unflatten(1, (4, 42)),
    "squeeze": lambda x: x[:, :1].squeeze(1).unsqueeze(2),
    "gather": lambda x: x.gather(1, torch.ones(1, 2, 6, 7, dtype=torch.int64)),
    "embedding": lambda x: F.embedding(INDEX, DENSE) * x.sum(),
    "take": lambda x: torch.take(MATRIX, x.to(torch.int64)) + torch.take(x, INDEX - 2).sum(),
    "index": lambda x: x.index_select(1, INDEX) + x[:, INDEX],
    "index from behind": lambda x: x[:, torch.tensor([-1, 0])] + x[:, [-2, 1]],
    "triangles": lambda x: x.tril() + x.triu(1),
    "shuffle of channels": lambda x: x.view(1, 2, 2, 6, 7).transpose(1, 2).reshape(SHAPE),
    "zeros": lambda x: F.pad(x, (1, 3, 2, 4)),
    "border": lambda x: F.pad(x, (1, 0, 2, 4), value=0.7),
    "border of channels": lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)),
    "reflect": lambda x: F.pad(x, (1, 3, 2, 4), mode="reflect"),
    "replicate": lambda x: F.pad(x, (1, 3, 2, 4), mode="replicate"),
    "cut off": lambda x: F.pad(x, (-1, 0, -2, -1)),
    "types": lambda x: (x * 10).to(torch.int32).float() + x.half().float() + x.type_as(OTHER),
    "constants": lambda x: x + torch.linspace(0, 1, 7) + torch.arange(1, 8) + torch.ones(7),
    "likes": lambda x: x + torch.full_like(x, 0.3) + torch.zeros_like(x) + torch.ones_like(x),
    "new": lambda x: x + x.new_ones(7) + torch.full((7,), 0.5) + torch.zeros(7) + x.new_zeros(7),
    "alias": lambda x: x.detach() + 1,
}
WINDOWS: dict[str, Function] = {
    "average": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "average of what is inside": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "average rounded up": lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True),
    "max": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max rounded up": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "dilated max": lambda x: F.max_pool2d(x, 2, 1, 0, 2),
    "to one pixel": lambda x: F.adaptive_avg_pool2d(x, 1),
    "conv": lambda x: F.conv2d(x, FILTER, FILTER[:, 0, 0, 0], 2, (1, 2), 1),
    "conv before a border": lambda x: F.conv2d(F.pad(x, (0, 1, 2, 1)), FILTER, None, 2, 1),
    "dilated conv": lambda x: F.conv2d(x, FILTER, None, 1, 2, 2),
    "grouped conv": lambda x: F.conv2d(x, GROUPED, None, 1, 1, 1, 2),
    "transposed": lambda x: F.conv_transpose2d(x, TRANSPOSED, SEVEN[:5], 2, 1, 1),
    "dense": lambda x: F.linear(x, MATRIX, SEVEN[:5]) + F.linear(x, MATRIX),
    "product": lambda x: x @ DENSE + torch.bmm(x[0], DENSE.expand(4, 7, 5)),
    "attention": lambda x: F.scaled_dot_product_attention(x, OTHER, x),
    "bilinear": lambda x: F.interpolate(x, (9, 4), mode="bilinear"),
    "bilinear to corners": lambda x: F.interpolate(x, (9, 4), mode="bilinear", align_corners=True),
    "bicubic": lambda x: F.interpolate(x, (12, 14), mode="bicubic"),
    "nearest": lambda x: F.interpolate(x, scale_factor=3.0, mode="nearest"),
    "nearest to a size": lambda x: F.interpolate(x, (9, 4), mode="nearest"),
    "nearest to less": lambda x: F.interpolate(x, (5, 3), mode="nearest"),
    "nearest to more": lambda x: F.interpolate(x, (31, 17), mode="nearest"),
}
GROUPS = {
    "arithmetic": ARITHMETIC, "curves": CURVES, "norms": NORMS, "sums": SUMS, "moves": MOVES,
    "windows": WINDOWS,
}  # fmt: skip

NOT_DECOMPOSED = "logaddexp", "bicubic"
"""What is refused, or cannot be built, where it is written with other operators."""


class Many(nn.Module):
    """A result for each of many functions of one feature map."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        super().__init__()
        self.functions = list(functions.values())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(function(x) for function in self.functions)


def exported(name: str, decomposed: bool) -> torch.export.ExportedProgram:
    program = torch.export.export(Many(chosen(name, decomposed)).eval(), (torch.zeros(SHAPE),))
    return program.run_decompositions() if decomposed else program


def chosen(name: str, decomposed: bool) -> dict[str, Function]:
    left_out = NOT_DECOMPOSED if decomposed else ()
    return {case: one for case, one in GROUPS[name].items() if case not in left_out}


@pytest.mark.parametrize("decomposed", [False, True], ids=["whole", "decomposed"])
@pytest.mark.parametrize("name", GROUPS)
def test_it_computes_what_pytorch_computes(name: str, decomposed: bool) -> None:
    x = torch.from_numpy(np.random.default_rng(1).standard_normal(SHAPE, np.float32))
    mod = import_program(exported(name, decomposed))
    machine = relax.VirtualMachine(relax.build(mod, "llvm"), tvm.cpu())
    results, wrong = machine["main"](tvm.runtime.tensor(x.numpy())), {}
    for (case, function), found in zip(chosen(name, decomposed).items(), results, strict=True):
        expected = function(x).numpy()
        if found.shape != expected.shape:
            wrong[case] = f"shape {found.shape}, not {expected.shape}"
        elif not np.allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4):
            wrong[case] = str(np.abs(found.numpy() - expected).max())
    assert not wrong


def test_what_is_trusted_was_compared() -> None:
    compared = {
        getattr(node.target, "__name__", str(node.target))
        for name in GROUPS
        for decomposed in (False, True)
        for node in exported(name, decomposed).graph.nodes
        if node.op == "call_function"
    }
    assert compared - set(CONVERTERS) == COMPARED_OPS - {"pixel_shuffle.default"}


def test_scale_of_attention_is_refused() -> None:
    """TVM's converter would leave it out."""
    net = Many({"scaled": lambda x: F.scaled_dot_product_attention(x, x, x, scale=0.3)})
    program = torch.export.export(net.eval(), (torch.zeros(SHAPE),))
    with pytest.raises(GraphError, match="multiply the queries"):
        import_program(program)


def test_failure_of_a_converter_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("None")

    monkeypatch.setitem(CONVERTERS, "celu.default", fail)
    net = Many({"norm": lambda x: F.celu(x.exp())})
    program = torch.export.export(net.eval(), (torch.zeros(SHAPE),))
    with pytest.raises(GraphError, match="an operator behind exp .* cannot be imported"):
        import_program(program)
