"""A random MQNet of which every channel differs by photograph, as after training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from compile.networks.mqnet.checkpoints import random_network
from compile.networks.mqnet.network import MQNet
from compile.training.revive_channels import revive_channels


def parts_of_photographs() -> Tensor:
    """Parts of real photographs, float32 [8,3,96,128] in [0, 1]."""
    photos = [read_photo(path) for path in bundled_photos("calibration")]
    parts = [photo[:96, :128] for photo in photos] + [photo[-96:, -128:] for photo in photos]
    return torch.stack([torch.from_numpy(part.copy()) for part in parts[:8]]).movedim(-1, 1) / 255


def living_network(attention: str, photos: Tensor) -> MQNet:
    """In evaluation mode, with batch norms as after a step with ``photos``, [N,3,H,W]."""
    net = random_network(attention, 3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(photos)
    revive_channels(net.eval(), photos, 0)
    return net
