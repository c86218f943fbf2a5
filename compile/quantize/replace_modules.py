"""Write modules that have no kernels as modules that have, exactly.

That comes before anything is quantized, so that weights get one scale for each output channel.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

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
    """A transposed convolution as a convolution to all pixels of a block, a pixel shuffle, and a
    border that is cut off: channel o at row i and column j of a block of s x s pixels is filter
    (o * s + i) * s + j.

    With a kernel of m * s, m inputs reach a pixel: of 2 the last is multiplied by the kernel's row
    i, the one before it by row i + s.
    """
    assert isinstance(module, nn.ConvTranspose2d)
    (side, other), (down, across) = module.stride, module.kernel_size
    is_square = side == other and down == across and len(set(module.padding)) == 1
    is_plain = module.output_padding == (0, 0) and module.groups == 1
    if not is_square or not is_plain or down % side or module.dilation != (1, 1):
        raise GraphError(
            f"module {path}: a transposed convolution is compiled where its kernel is square and a "
            f"multiple of its stride, without groups, and this one has kernel "
            f"{module.kernel_size}, stride {module.stride}, output padding "
            f"{module.output_padding}, dilation {module.dilation} and {module.groups} groups: use "
            "nn.Upsample and a convolution"
        )
    inputs, outputs, taps = module.in_channels, module.out_channels, down // side
    channels = outputs * side**2
    conv = nn.Conv2d(inputs, channels, taps, padding=taps - 1, bias=module.bias is not None)
    split = module.weight.data.reshape(inputs, outputs, taps, side, taps, side)
    weight = split.flip(2, 4).permute(1, 3, 5, 0, 2, 4).reshape(channels, inputs, taps, taps)
    conv.weight.data = weight.clone(memory_format=torch.contiguous_format)
    if module.bias is not None and conv.bias is not None:
        conv.bias.data = module.bias.data.repeat_interleave(side**2)
    border = int(module.padding[0])
    crop = [nn.ZeroPad2d(-border)] if border else []
    return nn.Sequential(conv, nn.PixelShuffle(side), *crop).eval()


_VECTOR = 2
"""Dimensions of a batch of vectors."""


class VectorScale(nn.Conv2d):
    """A number for each element of a vector, as a depthwise 1x1 convolution: [1, C] to [1, C]."""

    def forward(self, data: Tensor) -> Tensor:
        """Multiply ``data`` and add to it.

        Raises:
            ValueError: it is no vector.
        """
        if data.ndim != _VECTOR:
            raise ValueError(
                f"a BatchNorm1d of a tensor {list(data.shape)}: only vectors are taken"
            )
        pixel = data.reshape(1, 1, 1, self.in_channels).permute(0, 3, 1, 2)
        return super().forward(pixel).permute(0, 2, 3, 1).reshape(data.shape)


def _depthwise_convolution(path: str, module: nn.Module) -> nn.Module:
    """A batch norm that is in no convolution, as a depthwise 1x1 convolution."""
    assert isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)
    if module.running_mean is None or module.running_var is None:
        raise GraphError(
            f"module {path}: a batch norm without running statistics depends on the whole batch: "
            "build it with track_running_stats=True"
        )
    channels = module.num_features
    kind = nn.Conv2d if isinstance(module, nn.BatchNorm2d) else VectorScale
    conv = kind(channels, channels, 1, groups=channels)
    scale = (module.running_var + module.eps).rsqrt()
    if module.affine:
        scale = scale * module.weight.data
    assert conv.bias is not None
    conv.weight.data = scale.reshape(channels, 1, 1, 1)
    conv.bias.data = -module.running_mean * scale
    if module.affine:
        conv.bias.data += module.bias.data
    return conv.eval()


class DenseConvolution(nn.Conv2d):
    """A dense layer as a 1x1 convolution of rows of one pixel: [..., inputs] to [..., outputs]."""

    def forward(self, data: Tensor) -> Tensor:
        """Compute the outputs of every vector of ``data``."""
        rows = data.reshape(1, -1, 1, self.in_channels).permute(0, 3, 1, 2)
        found = super().forward(rows).permute(0, 2, 3, 1)
        return found.reshape(*data.shape[:-1], self.out_channels)


def _dense_convolution(_path: str, module: nn.Module) -> nn.Module:
    """A dense layer as a 1x1 convolution."""
    assert isinstance(module, nn.Linear)
    has_bias = module.bias is not None
    conv = DenseConvolution(module.in_features, module.out_features, 1, bias=has_bias)
    conv.weight.data = module.weight.data[:, :, None, None]
    if has_bias and conv.bias is not None:
        conv.bias.data = module.bias.data
    return conv.eval()


_REPLACEMENTS: dict[type[nn.Module], Callable[[str, nn.Module], nn.Module]] = {
    nn.ConvTranspose2d: _shuffled_convolution,
    nn.BatchNorm1d: _depthwise_convolution,
    nn.BatchNorm2d: _depthwise_convolution,
    nn.Linear: _dense_convolution,
}
