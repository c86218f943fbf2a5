"""Take off each convolution's bias what the rounding of its weights moves its mean by.

Rounding errors of weights do not average out over inputs that are mostly positive: a channel's mean
moves, and with it all that is behind (Nagel et al., ICCV 2019, section 4.2). The mean is that of
the calibration's own tensors, as the quantized network has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx import GraphModule

from compile.networks.parts import module_path

_CONV = torch.ops.aten.conv2d.default


def correct_biases(
    converted: GraphModule, weights: Mapping[str, Tensor], frames: Sequence[tuple[Tensor, ...]]
) -> int:
    """Correct, in place, the biases of ``converted``, whose ``weights`` were those before they were
    rounded, by the path of their convolution's module; return of how many convolutions.

    ``frames`` are its inputs that calibrate. A convolution without a bias stays as it is.
    """
    watch = _Watch(converted, weights)
    with torch.no_grad():
        for frame in frames:
            watch.run(*frame)
    for bias, total in watch.totals.items():
        owner, _, name = bias.rpartition(".")
        tensor = getattr(converted.get_submodule(owner), name)
        tensor.data -= (total / len(frames)).to(tensor.dtype)
    return len(watch.totals)


def float_weights(net: nn.Module, root: str) -> dict[str, Tensor]:
    """Copies of the weights of all convolutions of ``net``, which is exported at ``root``."""
    return {
        f"{root}.{path}": module.weight.detach().clone()
        for path, module in net.named_modules()
        if isinstance(module, nn.Conv2d)
    }


class _Watch(fx.Interpreter):
    """Adds up, by the name of its bias, how far each convolution's mean is from what it would be
    with the weights before they were rounded."""

    def __init__(self, converted: GraphModule, weights: Mapping[str, Tensor]) -> None:
        super().__init__(converted)
        self.weights = weights
        self.totals: dict[str, Tensor] = {}

    def run_node(self, node: fx.Node) -> Any:
        """Compute ``node``, and beside a convolution that of the difference of its weights."""
        result = super().run_node(node)
        bias = node.args[2] if node.target is _CONV and len(node.args) > 2 else None
        exact = self.weights.get(module_path(node)) if isinstance(bias, fx.Node) else None
        if exact is None or not isinstance(bias, fx.Node) or bias.op != "get_attr":
            return result
        (data, rounded, _, *more), kwargs = self.fetch_args_kwargs_from_env(node)
        if exact.shape == rounded.shape:
            moved = _CONV(data, rounded - exact.to(rounded.dtype), None, *more, **kwargs)
            name = str(bias.target)
            self.totals[name] = self.totals.get(name, 0) + moved.double().mean((0, 2, 3))
        return result
