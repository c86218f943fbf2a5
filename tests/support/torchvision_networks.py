"""Networks of torchvision, with seeded weights: what nobody here has written."""

from __future__ import annotations

import torch
from network_checks import draw_all
from torch import Tensor, nn

#: By the name of its function; those of segmentation give a dictionary.
NETWORKS = (
    "mobilenet_v3_small",
    "efficientnet_b0",
    "shufflenet_v2_x1_0",
    "regnet_y_400mf",
    "segmentation.lraspp_mobilenet_v3_large",
)

# Its wheel is built beside a torch with CUDA. Beside one without, its operators are missing, two of
# which it describes when it is imported and none of these networks calls. Beside one with, its
# library defines them, and aborts where they are there.
_MISSING = torch.library.Library("torchvision", "FRAGMENT")


class _AsMap(nn.Module):
    """The network, whose only result is a feature map."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.inner = net

    def forward(self, x: Tensor) -> Tensor:
        found = self.inner(x)
        found = found["out"] if isinstance(found, dict) else found
        return found if found.ndim == 4 else found[:, :, None, None]


def torchvision_network(name: str) -> nn.Module:
    """The network ``name``, in evaluation mode."""
    for operator in ("nms", "qnms"):
        if torch.version.cuda is None and not hasattr(torch.ops.torchvision, operator):
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _MISSING.define(f"{operator}{schema}")
    from torchvision import models  # noqa: PLC0415  (It needs what is defined above.)

    *module, function = name.split(".")
    owner = getattr(models, module[0]) if module else models
    options = {"weights_backbone": None} if module else {}
    return draw_all(_AsMap(getattr(owner, function)(weights=None, **options)).eval())
