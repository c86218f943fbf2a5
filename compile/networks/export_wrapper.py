"""A network as it is compiled: a photograph's bytes in, the network's output out.

Stands between the network and the exporter. A camera's or a decoder's photograph is uint8 and
interleaved (NHWC), so the conversion to float belongs to the graph, where the compiler can turn
it into a table or fold it away.
"""

from __future__ import annotations

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
        y = self.net(x)
        if not isinstance(y, Tensor) or y.ndim != 4:
            what = f"a tensor {list(y.shape)}" if isinstance(y, Tensor) else f"a {type(y).__name__}"
            raise TypeError(f"it gives {what}: let it give one picture, a tensor [1, C, H, W]")
        return y.permute(0, 2, 3, 1).to(torch.float32)
