"""The network that quantization-aware training trains, and the weights that come back from it."""

from __future__ import annotations

import pytest
import torch
from torch.fx import GraphModule

from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from compile.networks.mqnet.attention import ATTENTIONS
from compile.networks.mqnet.checkpoints import load_checkpoint, random_network
from compile.networks.mqnet.entry import MQNetEntry
from compile.networks.mqnet.network import MQNet
from compile.quantize import fake_quantize
from compile.quantize.fake_quantize import fake_quantized, trained_network
from compile.quantize.fold import fold_batch_norms, unfold_batch_norms
from compile.quantize.pt2e import FakeQuantize
from compile.quantize.quantize import quantize_network
from compile.quantize.schemes import SCHEMES
from compile.training.light_code import mu_law_of_output

SIZE = 96


def photos() -> list:
    return [read_photo(path) for path in bundled_photos("calibration")]


def part_of_a_photograph(size: int = SIZE) -> torch.Tensor:
    """float32 [1,3,size,size]."""
    photo = read_photo(bundled_photos("test")[1])[100 : 100 + size, 100 : 100 + size]
    return torch.from_numpy(photo).permute(2, 0, 1)[None] / 255


def psnr(found: torch.Tensor, expected: torch.Tensor) -> float:
    square = (mu_law_of_output(found) - mu_law_of_output(expected)).square()
    return float(-10 * square.mean((1, 2, 3)).log10().mean())


@pytest.fixture(scope="module")
def mixed() -> GraphModule:
    return fake_quantized(MQNetEntry(), load_checkpoint(None, "ca"), SCHEMES["mixed"], photos())


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_unfolding_changes_nothing(attention: str) -> None:
    net = random_network(attention, 3)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.running_mean)
    again = unfold_batch_norms(fold_batch_norms(net), MQNet(attention))
    image = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(again(image), net(image), rtol=0, atol=1e-5)


@torch.no_grad()
def test_it_rounds_as_the_quantized_network_does(mixed: GraphModule) -> None:
    """Not bit for bit: floats are summed in another order, and ties fall either way."""
    net = load_checkpoint(None, "ca")
    # Blown, or the network adds next to nothing that could be rounded.
    image = (part_of_a_photograph(256) * 1.6).clamp(0, 1).mul(255).round() / 255
    program = quantize_network(MQNetEntry(), net, SCHEMES["mixed"], photos(), 256, 256).module()
    pixels = (image * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    quantized = program(pixels).permute(0, 3, 1, 2)
    float_output, rounded = net(image), mixed(image)
    # Without rounding the two would be 120 dB and more apart; the scheme itself leaves 60 dB.
    assert psnr(rounded, float_output) < 65
    assert psnr(rounded, quantized) > psnr(quantized, float_output) + 5


@torch.no_grad()
def test_any_size_and_number(mixed: GraphModule) -> None:
    images = torch.cat([part_of_a_photograph()[..., :64, :96]] * 3)
    output = mixed(images)
    assert output.shape == images.shape
    torch.testing.assert_close(output[0], mixed(images[:1])[0], rtol=0, atol=0.02)


def test_gradients_reach_every_weight(mixed: GraphModule) -> None:
    mixed(part_of_a_photograph()).square().mean().backward()
    parameters = dict(mixed.named_parameters())
    assert len(parameters) == len(list(fold_batch_norms(random_network("ca", 0)).parameters()))
    for name, parameter in parameters.items():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    mixed.zero_grad()


@torch.no_grad()
def test_scales_of_weights_follow_and_those_of_activations_stay(mixed: GraphModule) -> None:
    def scales() -> dict[str, torch.Tensor]:
        return {
            name: module.scale.clone()
            for name, module in mixed.named_modules()
            if isinstance(module, FakeQuantize)
        }

    weight = mixed.get_parameter("net.head.conv1.weight")
    mixed(part_of_a_photograph())
    before = scales()
    weight *= 2
    mixed(part_of_a_photograph())
    after = scales()
    weight /= 2
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(moved) == 1
    torch.testing.assert_close(after[moved[0]], 2 * before[moved[0]])
    # 82 convolutions, and as many of their outputs and more.
    assert len(before) > 164


def test_weights_come_back(mixed: GraphModule) -> None:
    net = load_checkpoint(None, "ca")
    with torch.no_grad():
        back = trained_network(mixed, MQNet("ca"))(part_of_a_photograph())
        assert psnr(back, net(part_of_a_photograph())) > 100


def test_a_quantizer_that_matches_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_quantize, "CROPS", 1)
    monkeypatch.setattr(
        fake_quantize.SchemeQuantizer, "annotate", lambda self, model: model, raising=True
    )
    with pytest.raises(RuntimeError, match="0 of the 79 convolutions of the backbone"):
        fake_quantized(MQNetEntry(), load_checkpoint(None, "ca"), SCHEMES["mixed"], photos())
