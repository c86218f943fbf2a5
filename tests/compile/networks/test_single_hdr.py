"""SingleHDR against its size, and each of its four networks against the published conventions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from network_checks import (
    as_printed,
    check_outputs,
    count,
    draw_all,
    gmacs_by_module,
    on_meta_device,
    run,
)
from torch import Tensor, nn
from torch.nn import functional as F

from compile.networks.single_hdr import (
    Bottleneck,
    LinearizeBackbone,
    LinearizeHead,
    SingleHDR,
    SmallUNet,
    Sobel,
    enlarge_bilinear,
    soft_histogram,
)

PARAMETERS = {
    "dequantize": 1_999_779,
    "linearize": 1_200_971,
    "hallucinate": 24_569_118,
    "refine": 1_266_947,
}


def test_published_size() -> None:
    net = on_meta_device(SingleHDR)
    counts = {name: count(stage, trained_only=True) for name, stage in net.stages.items()}
    assert counts == PARAMETERS
    assert count(net, trained_only=True) == 29_036_815
    stages = (net.stages["linearize"], net.stages["hallucinate"])
    running = [[b.numel() for n, b in s.named_buffers() if "running" in n] for s in stages]
    assert [sum(of) for of in running] == [7_040, 3_974]


@pytest.mark.parametrize(
    ("size", "total", "stages"),
    [
        ((256, 256), 56.26, (4.73, 6.78, 40.01, 4.74)),
        ((768, 1280), 843.8, (70.94, 101.8, 600.1, 71.03)),
    ],
)
def test_published_work(size: tuple[int, int], total: float, stages: tuple[float, ...]) -> None:
    """But for the Sobel filters, which are no layers in the published figures."""
    gmacs = gmacs_by_module(on_meta_device(SingleHDR), *size)
    filters = gmacs["stages.linearize.backbone.sobel"]
    gmacs["stages.linearize"] -= filters
    assert as_printed(gmacs[""] - filters) == total
    assert tuple(as_printed(gmacs[f"stages.{name}"]) for name in PARAMETERS) == stages


def test_outputs() -> None:
    assert check_outputs(SingleHDR(8)).min() >= 0


def batch_norm(norm: nn.Module, y: Tensor, epsilon: float) -> Tensor:
    centred = y - norm.running_mean[:, None, None]
    scaled = centred / (norm.running_var + epsilon).sqrt()[:, None, None]
    return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]


def in_between(x: Tensor, axis: int) -> Tensor:
    """Twice as long: each value, and then its mean with the next one; the last one twice."""
    last = x.narrow(axis, x.shape[axis] - 1, 1)
    following = torch.cat((x.narrow(axis, 1, x.shape[axis] - 1), last), axis)
    return torch.stack((x, (x + following) / 2), axis + 1).flatten(axis, axis + 1)


def test_bilinear_as_in_tensorflow_1() -> None:
    for size in ((1, 1), (2, 5), (7, 8)):
        x = torch.rand(2, 3, *size)
        expected = in_between(in_between(x, 2), 3)
        torch.testing.assert_close(enlarge_bilinear(x), expected, rtol=0, atol=1e-6)


def test_small_unet() -> None:
    """With a leaky ReLU behind every convolution, average pools and that upsampling."""
    net = draw_all(SmallUNet(9, 128, 4))
    x = torch.randn(1, 9, 32, 48)

    def conv(layer: nn.Sequential, y: Tensor) -> Tensor:
        weight = layer[0].weight
        y = F.conv2d(y, weight, layer[0].bias, padding=weight.shape[-1] // 2)
        return torch.where(y > 0, y, 0.1 * y)

    with torch.no_grad():
        y, kept = x, []
        for level, (first, second) in enumerate(net.down):
            assert first[0].kernel_size == ((7, 7), (5, 5), (3, 3), (3, 3), (3, 3))[level]
            if level:
                y = y.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
            y = conv(second, conv(first, y))
            kept.append(y)
        for level in (3, 2, 1, 0):
            y = conv(net.up[level], in_between(in_between(y, 2), 3))
            y = conv(net.merge[level], torch.cat((y, kept[level]), 1))
    torch.testing.assert_close(run(net, x), y, rtol=1e-4, atol=1e-5)


def test_sobel() -> None:
    image = np.random.default_rng(0).random((1, 3, 6, 7), np.float32)
    p = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    rows = p[:, :, 2:] - p[:, :, :-2]
    columns = p[..., 2:] - p[..., :-2]
    expected = (
        rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:],
        columns[:, :, :-2] + 2 * columns[:, :, 1:-1] + columns[:, :, 2:],
    )
    for given, wanted in zip(run(draw_all(Sobel()), torch.tensor(image)), expected, strict=True):
        np.testing.assert_allclose(given, wanted, atol=1e-5)


def test_soft_histogram_shares_each_value_out() -> None:
    image = torch.rand(1, 3, 8, 8)
    tents = soft_histogram(image)
    assert len(tents) == 31
    for steps, of in ((4, tents[:5]), (8, tents[5:14]), (16, tents[14:])):
        weights = torch.stack(of)
        torch.testing.assert_close(weights.sum(0), torch.ones_like(image), rtol=0, atol=1e-5)
        edges = torch.arange(steps + 1)[:, None, None, None, None] / steps
        torch.testing.assert_close((weights * edges).sum(0), image, rtol=0, atol=1e-5)


def test_padding_of_the_stem() -> None:
    """TensorFlow's SAME: of the five rows that stride 2 lacks, two are above, and of the pool's one
    none is."""
    net = draw_all(LinearizeBackbone(8))
    _, conv, norm, *_ = net.stem
    features = torch.randn(1, 102, 16, 24)
    with torch.no_grad():
        padded = F.pad(features, (2, 3, 2, 3))
        rows = [
            F.conv2d(padded[:, :, at : at + 7], conv.weight, conv.bias, stride=(1, 2))
            for at in range(0, 16, 2)
        ]
        y = F.relu(batch_norm(norm, torch.cat(rows, 2), 1e-3))
        pooled = [
            [y[:, :, r : r + 3, c : c + 3].amax((2, 3)) for c in range(0, 12, 2)]
            for r in range(0, 8, 2)
        ]
        expected = torch.stack([torch.stack(row, -1) for row in pooled], -2)
        torch.testing.assert_close(net.stem(features), expected, rtol=1e-4, atol=1e-5)


def test_bottlenecks() -> None:
    blocks = LinearizeBackbone(1).blocks
    assert [isinstance(block.shortcut, nn.Identity) for block in blocks] == [0, 1, 1, 0, 1]
    block = draw_all(Bottleneck(8, 4, 16, 2))
    x = torch.randn(1, 8, 6, 8)
    conv1, norm1, _, conv2, norm2, _, conv3, norm3 = block.main
    with torch.no_grad():
        y = F.relu(batch_norm(norm1, F.conv2d(x[:, :, ::2, ::2], conv1.weight), 1e-3))
        y = F.relu(batch_norm(norm2, F.conv2d(y, conv2.weight, padding=1), 1e-3))
        y = batch_norm(norm3, F.conv2d(y, conv3.weight), 1e-3)
        conv, norm = block.shortcut
        y = F.relu(y + batch_norm(norm, F.conv2d(x[:, :, ::2, ::2], conv.weight), 1e-3))
        torch.testing.assert_close(block(x), y, rtol=1e-4, atol=1e-5)


def test_a_picture_goes_through_its_curve() -> None:
    head = draw_all(LinearizeHead(8))
    features, image = torch.rand(2, 8, 3, 4) * 3, torch.rand(2, 3, 5, 6)
    image[:, 0, 0, :2] = torch.tensor([0.0, 1.0])
    with torch.no_grad():
        weights = head.weights(features.mean((2, 3), keepdim=True))[:, :, 0, 0].double()
        samples = head.curve.mean_curve.double() + weights @ head.curve.components.double().T
        output = head(features, image)
    for picture in range(2):
        rise = np.diff(samples[picture].numpy())
        assert rise.min() < 0, "it would fall somewhere"
        rise = rise + max(0, -rise.min())
        curve = np.concatenate(([0], np.cumsum(rise / rise.sum())))
        expected = np.interp(image[picture] * 1023, np.arange(1024), curve)
        np.testing.assert_allclose(output[picture], expected, atol=1e-4)
    assert not torch.equal(output[0], output[1])


def test_curves_start_at_the_mean() -> None:
    head = LinearizeHead(8)
    assert head.curve.mean_curve[0] == 0 and head.curve.mean_curve[-1] == 1
    assert head.curve.components[[0, -1]].abs().max() < 1e-6
    nn.init.zeros_(head.weights.weight)
    nn.init.zeros_(head.weights.bias)
    image = torch.rand(1, 3, 4, 4)
    mean = run(head, torch.rand(1, 8, 1, 1), image)
    torch.testing.assert_close(mean, image.pow(2.2), rtol=0, atol=1e-4)


def test_light_is_added_where_the_picture_is_saturated() -> None:
    """By HDRCNN's graph on bytes, with another decoder."""
    net = draw_all(SingleHDR(16)).stages["hallucinate"]
    image = (torch.rand(1, 3, 32, 32) * 1.2).clamp(max=1)
    part, merge = net.backbone, net.head.merge
    with torch.no_grad():
        y = 255 * image - torch.tensor([123.68, 116.779, 103.939])[:, None, None]
        kept = []
        for stage in part.encoder.stages:
            for conv, _ in stage:
                y = F.relu(F.conv2d(y, conv.weight, conv.bias * 255, padding=1))
            kept.append(y / 255)
            y = F.max_pool2d(y, 2)
        conv, norm, _ = part.bottom
        y = F.conv2d(y, conv.weight / 255, conv.bias, padding=1)
        y = F.relu(batch_norm(norm, y, 1e-5))
        for level in (4, 3, 2, 1, 0):
            _, _, conv, _, norm, _ = part.enlarge[level]
            y = y.repeat_interleave(2, 2).repeat_interleave(2, 3)
            y = F.relu(F.conv2d(F.pad(y, (1, 1, 1, 1), "reflect"), conv.weight, conv.bias))
            y = F.relu(batch_norm(norm, y, 1e-5))
            y = part.fuse[level](torch.cat((y, kept[level]), 1))
        conv, norm, _ = merge.project
        y = merge.fuse(torch.cat((F.relu(batch_norm(norm, conv(y), 1e-5)), image), 1))
        alpha = torch.clip((image.max(1, keepdim=True).values - 0.88) / 0.12, 0, 1)
        expected = image + alpha * F.relu(y)
    assert (expected - image).max() > 1e-3
    torch.testing.assert_close(run(net, image, image), expected, rtol=1e-3, atol=1e-4)


def test_the_four_in_a_row() -> None:
    net = draw_all(SingleHDR(16))
    image = torch.rand(1, 3, 32, 32)
    stages = net.stages
    with torch.no_grad():
        residual = stages["dequantize"].head.project(stages["dequantize"].backbone(image))
        c = torch.clip(image + torch.tanh(residual), 0, 1)
        b = stages["linearize"].head(stages["linearize"].backbone(c), c)
        a = stages["hallucinate"].head(stages["hallucinate"].backbone(b), b)
        refine = stages["refine"]
        expected = F.relu(refine.head.project(refine.backbone(torch.cat((a, b, c), 1))) + a)
    torch.testing.assert_close(run(net, image), expected, rtol=1e-5, atol=1e-6)
