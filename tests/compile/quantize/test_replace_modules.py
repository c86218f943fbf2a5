"""Modules without kernels become modules with kernels, and the network computes the same."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from compile.networks.export_wrapper import ExportWrapper
from compile.quantize.fold import fold_batch_norms, fold_traced_batch_norms
from compile.quantize.replace_modules import replace_modules
from compile.support.errors import GraphError


def _seeded(net: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.running_mean, -1, 1)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.uniform_(module.bias, -1, 1)
    return net.eval()


@pytest.mark.parametrize(
    "net",
    [
        nn.ConvTranspose2d(5, 7, 2, 2),
        nn.ConvTranspose2d(3, 4, 3, 3, bias=False),
        nn.ConvTranspose2d(3, 5, 4, 2, 1),
        nn.ConvTranspose2d(3, 2, 6, 2, 2, bias=False),
        nn.ConvTranspose2d(3, 2, 6, 3),
        nn.BatchNorm2d(5, eps=0.1),
        nn.BatchNorm2d(5, affine=False),
    ],
    ids=str,
)
def test_it_computes_the_same(net: nn.Module) -> None:
    network = nn.Sequential(_seeded(net))
    channels = getattr(net, "in_channels", None) or net.num_features
    image = torch.randn(1, channels, 6, 9)
    with torch.no_grad():
        expected = network(image)
        replace_modules(network)
        assert type(network[0]) is not type(net)
        torch.testing.assert_close(network(image), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("net", "what"),
    [
        (nn.ConvTranspose2d(4, 4, 3, 2, 1), r"kernel \(3, 3\), stride \(2, 2\)"),
        (nn.ConvTranspose2d(4, 4, 4, 2, 1, 1), r"output padding \(1, 1\)"),
        (nn.ConvTranspose2d(4, 4, 4, 2, dilation=2), r"dilation \(2, 2\)"),
        (nn.ConvTranspose2d(4, 4, 2, 2, groups=4), "4 groups"),
        (nn.BatchNorm2d(4, track_running_stats=False), "running statistics"),
    ],
)
def test_what_cannot_be_replaced_is_named(net: nn.Module, what: str) -> None:
    with pytest.raises(GraphError, match=f"module up.0: .*{what}"):
        replace_modules(nn.ModuleDict({"up": nn.Sequential(net)}))


class _Scattered(nn.Module):
    """Batch norms that stand beside their convolutions, one of which is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.up, self.bn_up = nn.ConvTranspose2d(4, 4, 2, 2), nn.BatchNorm2d(4)
        self.twice, self.bn_twice = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.read, self.bn_read = nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn_up(self.up(y)))
        for _ in range(2):
            y = self.bn_twice(self.twice(y))
        y = self.read(y)
        return y + self.bn_read(y)


def test_batch_norms_are_folded_wherever_they_stand() -> None:
    net = _seeded(_Scattered())
    folded = fold_batch_norms(net)
    image = torch.randint(0, 256, (1, 8, 6, 3), dtype=torch.uint8)
    graph = torch.export.export(ExportWrapper(folded).eval(), (image,)).graph
    fold_traced_batch_norms(folded, graph, "net")
    left = {name for name, each in folded.named_modules() if isinstance(each, nn.BatchNorm2d)}
    assert left == {"bn_twice", "bn_read"}
    replaced = copy.deepcopy(folded)
    replace_modules(replaced)
    x = torch.rand(1, 3, 8, 6)
    with torch.no_grad():
        for each in (folded, replaced):
            torch.testing.assert_close(each(x), net(x), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in replaced.modules())
