"""A network as it is compiled: a photograph's bytes in, the network's output out.

Stands between the network and the exporter. A camera's or a decoder's photograph is uint8 and
interleaved (NHWC), so the conversion to float belongs to the graph, where the compiler can turn
it into a table or fold it away.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

#: Name of the attribute that the network is: paths of its modules begin with it.
ROOT = "net"


class ExportWrapper(nn.Module):
    """uint8 image [1, H, W, C] (NHWC) to the network's output, float32 [1, H, W, C] (NHWC)."""

    def __init__(self, net: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        """Wrap ``net``, which maps ``dtype`` [1, C, H, W] in [0, 1] to ``dtype`` in NCHW."""
        super().__init__()
        self.net = net
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        """The output for the photograph ``image``."""
        x = image.permute(0, 3, 1, 2).to(self.dtype) / 255
        (y,) = named_outputs(self.net(x)).values()
        return y.permute(0, 2, 3, 1).to(torch.float32)


class TensorWrapper(nn.Module):
    """What gives tensors, all as they are and floats as float32; of a photograph, uint8
    [1, H, W, C], or of tensors, as they are."""

    def __init__(self, net: nn.Module, dtype: torch.dtype, takes_photographs: bool) -> None:
        """Wrap ``net``, whose floats are ``dtype``."""
        super().__init__()
        self.net = net
        self.dtype = dtype
        self.takes_photographs = takes_photographs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs for ``inputs``, flat."""
        x = [one.to(self.dtype) if one.is_floating_point() else one for one in inputs]
        if self.takes_photographs:
            x = [inputs[0].permute(0, 3, 1, 2).to(self.dtype) / 255]
        outputs = named_outputs(self.net(*x)).values()
        return tuple(y.to(torch.float32) if y.is_floating_point() else y for y in outputs)


def named_outputs(made: object) -> dict[str, Tensor]:
    """What a module gives, by name: a dictionary's keys, "output", or "output_0" and so on.

    Raises:
        TypeError: it is neither a tensor nor a flat tuple, list or dictionary of some.
    """
    if isinstance(made, Tensor):
        return {"output": made}
    named = made if isinstance(made, Mapping) else None
    if isinstance(made, tuple | list):
        named = {f"output_{index}": one for index, one in enumerate(made)}
    if not named or not all(isinstance(one, Tensor) for one in named.values()):
        raise TypeError(
            f"it gives a {type(made).__name__}: let it give a tensor, or a flat tuple or "
            "dictionary of tensors"
        )
    texts = {str(name): one for name, one in named.items()}
    if len(texts) < len(named):
        raise TypeError(f"it gives a dictionary whose keys {list(named)} are not all other texts")
    return texts
