"""TVM's converters of single operators, which are trusted here only as far as they were compared
with PyTorch on random numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import tvm
from torch import Tensor, nn
from torch.nn import functional as F
from tvm import relax

from compile.frontend.import_program import import_program
from compile.support.errors import GraphError


class Single(nn.Module):
    """One function of one feature map."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.pad(x, (1, 3, 2, 4), mode="reflect"),
        lambda x: F.pad(x, (1, 3, 2, 4), mode="replicate"),
        lambda x: F.pad(x, (-1, 0, -2, -1)),
        lambda x: x.amax(1, keepdim=True),
        lambda x: x.amax((2, 3)),
        lambda x: x.mean(1, keepdim=True),
        lambda x: x.mean((2, 3)),
        lambda x: 1.0 - x,
        lambda x: (x * x + 1 / 255).log(),
        torch.exp,
        lambda x: x.clamp(0.0, 1.0),
        F.selu,
        lambda x: F.leaky_relu(x, 0.2),
        F.silu,
        F.hardswish,
        F.hardsigmoid,
        lambda x: F.prelu(x, torch.tensor([0.1, 0.2, -0.3, 0.4])),
        lambda x: F.prelu(x, torch.tensor([0.25])),
        F.gelu,
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: torch.channel_shuffle(x, 2),
        lambda x: F.pixel_unshuffle(x[..., :6], 2),
        lambda x: x[:, 1:3, ::2, -3:],
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True),
        lambda x: F.max_pool2d(x, (3, 2), 1, 1, 2),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: F.avg_pool2d(x, (2, 3), ceil_mode=True),
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        lambda x: F.adaptive_avg_pool2d(x, (3, 1)),
        lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True),
        lambda x: F.max_pool2d(x, (3, 2), 1, 1, 2),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: F.avg_pool2d(x, (2, 3), ceil_mode=True),
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        lambda x: F.adaptive_avg_pool2d(x, (3, 1)),
        lambda x: F.interpolate(x, (9, 4), mode="bilinear", align_corners=False),
        lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False),
        lambda x: F.interpolate(x, (9, 4), mode="bilinear", align_corners=True),
        lambda x: F.interpolate(x, scale_factor=3.0, mode="nearest"),
        lambda x: F.interpolate(x, (9, 4), mode="nearest"),
        lambda x: F.interpolate(x, scale_factor=(0.5, 2.0), mode="nearest"),
        lambda x: F.conv2d(x, torch.ones(3, 4, 3, 3), padding=2, dilation=2),
    ],
    ids=[
        *("reflect", "replicate", "cut off", "channel maximum", "maximum"),
        *("channel mean", "mean", "rest", "log", "exp"),
        *("clamp", "selu", "leaky relu", "silu"),
        *("hard-swish", "hard-sigmoid", "PReLU", "PReLU of one", "GELU", "GELU by tanh"),
        *("channel shuffle", "pixel unshuffle", "slices", "max pool"),
        *("rounded up", "dilated maximum", "average", "inside", "average rounded up"),
        *("inside, rounded up", "adaptive"),
        *("rounded up", "dilated maximum", "average", "inside", "average rounded up"),
        *("inside, rounded up", "adaptive"),
        *(
            "bilinear to a size",
            "bilinear by a factor",
            "corners",
            "nearest",
            "nearest to a size",
            "nearest by two",
            "dilated",
        ),
    ],
)
def test_it_computes_what_pytorch_computes(function: Callable[[Tensor], Tensor]) -> None:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 4, 6, 7), np.float32))
    program = torch.export.export(Single(function).eval(), (x,))
    machine = relax.VirtualMachine(relax.build(import_program(program), "llvm"), tvm.cpu())
    found = machine["main"](tvm.runtime.tensor(x.numpy())).numpy()
    np.testing.assert_allclose(found, function(x).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: F.avg_pool2d(x, 2, divisor_override=3), "leave divisor_override out"),
        (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), "count_include_pad=False"),
        (lambda x: F.adaptive_avg_pool2d(x, (3, 2)), "of 6x7 pixels to 3x2 has windows of several"),
    ],
)
def test_pooling_that_is_refused(function: Callable[[Tensor], Tensor], why: str) -> None:
    program = torch.export.export(Single(function).eval(), (torch.zeros(1, 4, 6, 7),))
    with pytest.raises(GraphError, match=f"of type Single: .*{why}"):
        import_program(program)


def test_factor_that_gives_no_whole_size_is_refused() -> None:
    """PyTorch places pixels by the factor then, not by the ratio of the sizes."""
    x = torch.zeros(1, 4, 6, 7)
    network = Single(lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear"))
    program = torch.export.export(network.eval(), (x,))
    with pytest.raises(GraphError, match=r"by 1.3 of 6 pixels gives no whole size"):
        import_program(program)
