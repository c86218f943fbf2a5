"""Write modules that have no kernels as modules that have, exactly.

That comes before anything is quantized, so that weights get one scale for each output channel.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from compile.support.errors import GraphError


def replace_modules(net: nn.Module) -> None:
    """Replace, in place, what :data:`_REPLACEMENTS` names, in a network in evaluation mode.

    Raises:
        GraphError: a transposed convolution is of a kind that cannot be replaced.
    """
    for path, module in list(net.named_modules()):
        replace = _REPLACEMENTS.get(type(module))
        if replace is not None and path:
            owner, _, name = path.rpartition(".")
            setattr(net.get_submodule(owner), name, replace(path, module))


def _shuffled_convolution(path: str, module: nn.Module) -> nn.Module:
    """A transposed convolution whose windows do not overlap, as a 1x1 convolution to all pixels of
    a block and a pixel shuffle: channel o at row i and column j is filter (o * k + i) * k + j."""
    assert isinstance(module, nn.ConvTranspose2d)
    side = module.kernel_size[0]
    geometry = module.kernel_size, module.stride, module.padding, module.output_padding
    if geometry != ((side, side), (side, side), (0, 0), (0, 0)) or module.groups != 1:
        raise GraphError(
            f"module {path}: a transposed convolution is compiled where its kernel is as large as "
            f"its stride, without padding and groups, and this one has kernel "
            f"{module.kernel_size}, stride {module.stride}, padding {module.padding} and "
            f"{module.groups} groups: use nn.Upsample and a convolution"
        )
    channels = module.out_channels * side**2
    conv = nn.Conv2d(module.in_channels, channels, 1, bias=module.bias is not None)
    weight = module.weight.data.permute(1, 2, 3, 0).reshape(channels, module.in_channels, 1, 1)
    conv.weight.data = weight.clone(memory_format=torch.contiguous_format)
    if module.bias is not None and conv.bias is not None:
        conv.bias.data = module.bias.data.repeat_interleave(side**2)
    return nn.Sequential(conv, nn.PixelShuffle(side)).eval()


def _depthwise_convolution(path: str, module: nn.Module) -> nn.Module:
    """A batch norm that is in no convolution, as a depthwise 1x1 convolution."""
    assert isinstance(module, nn.BatchNorm2d)
    if module.running_mean is None or module.running_var is None:
        raise GraphError(
            f"module {path}: a batch norm without running statistics depends on the whole batch: "
            "build it with track_running_stats=True"
        )
    channels = module.num_features
    conv = nn.Conv2d(channels, channels, 1, groups=channels)
    scale = (module.running_var + module.eps).rsqrt()
    if module.affine:
        scale = scale * module.weight.data
    assert conv.bias is not None
    conv.weight.data = scale.reshape(channels, 1, 1, 1)
    conv.bias.data = -module.running_mean * scale
    if module.affine:
        conv.bias.data += module.bias.data
    return conv.eval()


_REPLACEMENTS: dict[type[nn.Module], Callable[[str, nn.Module], nn.Module]] = {
    nn.ConvTranspose2d: _shuffled_convolution,
    nn.BatchNorm2d: _depthwise_convolution,
}
