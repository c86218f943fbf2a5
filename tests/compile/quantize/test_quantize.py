"""The quantized graph of every scheme and attention, its structure and its accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import get_args

import numpy as np
import pytest
import quantized_graph_checks as checks
import torch
from fixtures_artefacts import ProgramFactory
from quantized_graph_checks import aten
from torch.export import ExportedProgram

from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from compile.networks.export_wrapper import ExportWrapper
from compile.networks.mqnet.attention import ATTENTIONS
from compile.networks.mqnet.checkpoints import load_checkpoint
from compile.networks.mqnet.entry import MQNetEntry
from compile.networks.mqnet.network import MQNet
from compile.quantize import quantize
from compile.quantize.calibration import calibration_crops
from compile.quantize.equalize import equalize_concats
from compile.quantize.fold import fold_batch_norms
from compile.quantize.quantizer import SchemeQuantizer
from compile.quantize.schemes import SCHEMES, Precision, SchemeName, scheme_named
from compile.support.errors import MqnetError

HEIGHT, WIDTH = 64, 96
IMAGE = (float(torch.tensor(1 / 255)), -128)


def photo(seed: int, height: int = 300, width: int = 400) -> np.ndarray:
    """Smooth waves, a bright disc and a little noise: uint8 [height, width, 3]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (9 + 11 * c) + seed) * np.cos(y / (23 - 5 * c)) for c in range(3)]
    image = 110 + 80 * np.stack(waves, -1) + random.normal(0, 4, (height, width, 3))
    image[(y - height / 3) ** 2 + (x - width / 2) ** 2 < 40**2] += 120
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Test workers that run side by side must not wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


PHOTOS = [photo(seed) for seed in range(4)]


def network(attention: str) -> MQNet:
    return load_checkpoint(None, attention)


def quantize_network(net: MQNet, *args: object, **options: object) -> ExportedProgram:
    return quantize.quantize_network(MQNetEntry(net.attention), net, *args, **options)


@cache
def program(scheme: str, attention: str) -> ExportedProgram:
    """Calibrated on few and small crops: enough for the structure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantize, "CROPS", 2)
        return quantize_network(
            network(attention), SCHEMES[scheme], PHOTOS, HEIGHT, WIDTH, crop=(HEIGHT, WIDTH)
        )


def run(module: torch.nn.Module, image: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return module(torch.from_numpy(image[None]))


def psnr(found: torch.Tensor, expected: torch.Tensor) -> float:
    """dB between two H, decoded to y = (H - sigmoid(-1)) / (sigmoid(2) - sigmoid(-1)), peak 1."""
    low, high = torch.sigmoid(torch.tensor([-1.0, 2.0], dtype=torch.float64))
    error = (found.double() - expected.double()) / (high - low)
    return float(-10 * torch.log10((error**2).mean()))


def convolutions(module: torch.nn.Module) -> int:
    return sum(isinstance(m, torch.nn.Conv2d) for m in module.modules())


_ATTENTIONS = {"mixed": ATTENTIONS, "int8": ("ca", "csa"), "w8a32": ("ca", "csa")}


@pytest.mark.parametrize(
    ("scheme", "attention"),
    [
        (scheme, attention)
        for scheme in SCHEMES
        # "csa" has the convolutions of each, and the others quantize what one of these does.
        for attention in _ATTENTIONS.get(scheme, ("ca",))
    ],
)
def test_convolutions_have_the_weights_of_their_scheme(scheme: str, attention: str) -> None:
    net = network(attention)
    built = program(scheme, attention)
    for name in ("backbone", "head"):
        if getattr(SCHEMES[scheme], name) is not Precision.FLOAT:
            assert checks.check_weights(built, name) == convolutions(getattr(net, name))
    checks.check_named_and_alive(built)
    assert not checks.calls(built, aten.batch_norm.default)


def test_number_of_convolutions() -> None:
    net = network("ca")
    assert (convolutions(net.backbone), convolutions(net.head)) == (79, 3)


@pytest.mark.parametrize(
    ("scheme", "attention"),
    [*(("mixed", attention) for attention in ATTENTIONS), ("int8", "ca"), ("int8", "csa")],
)
def test_int8_parts_are_int8_throughout(scheme: str, attention: str) -> None:
    built = program(scheme, attention)
    checks.check_int8_part(built, "backbone")
    if scheme == "int8":
        checks.check_int8_part(built, "head")


def test_every_byte_of_a_photograph_is_exact_and_the_encoder_loses_one_level() -> None:
    """The comments at IMAGE and ENCODER_INPUT in compile/quantize/quantizer.py."""
    image = torch.arange(256, dtype=torch.uint8).to(torch.float32) / 255

    def quantized(x: torch.Tensor, scale: float, zero_point: int) -> torch.Tensor:
        return checks.QUANTIZE(x, scale, zero_point, -128, 127, torch.int8)

    assert torch.equal(quantized(image, *IMAGE), torch.arange(-128, 128, dtype=torch.int8))
    levels = quantized(image * 2 - 1, 1 / 127, 0)
    assert torch.equal(levels.unique(), torch.arange(-127, 128, dtype=torch.int8))
    assert len(quantized(image * 2 - 1, 2 / 255, 0).unique()) < 200


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_photograph_joins_the_last_concat_exactly(attention: str) -> None:
    *others, last = checks.calls(program("mixed", attention), aten.cat.default)
    assert len(others) == 4
    assert checks.input_qparams(last) == [IMAGE, IMAGE]
    (of_image,) = (s.args[0] for s in last.args[0] if s.args[0].args[0].target is aten.div.Tensor)
    assert of_image.target is checks.QUANTIZE


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_mixed_head_reads_int8_once_and_is_float_otherwise(attention: str) -> None:
    built = program("mixed", attention)
    head = checks.compute(built, "head")
    reads = [
        source for n in head for source in checks.inputs(n) if source.target is checks.DEQUANTIZE
    ]
    (boundary,) = reads
    assert next(iter(boundary.users)).target is aten.conv2d.default
    quantized = boundary.args[0]
    assert list(quantized.users) == [boundary]
    assert checks.module_path(quantized.args[0]) == "net.backbone.decoder.merge_image.act"
    assert not any(user.target is checks.QUANTIZE for n in head for user in n.users)
    (final,) = (n for n in head if n.target is aten.add.Tensor)
    assert [n.target for n in checks.inputs(final)] == [aten.div.Tensor, aten.tanh.default]


@pytest.mark.parametrize("attention", ["ca", "csa"])
def test_int8_head_sees_the_photograph_exactly(attention: str) -> None:
    head = checks.compute(program("int8", attention), "head")
    (final,) = (n for n in head if n.target is aten.add.Tensor)
    assert checks.input_qparams(final) == [IMAGE, (1 / 128, 0)]


@pytest.mark.parametrize("scheme", ["fp32", "w8a32"])
def test_float_activations_are_not_quantized(scheme: str) -> None:
    built = program(scheme, "ca")
    assert not checks.calls(built, checks.QUANTIZE, checks.DEQUANTIZE)


def test_no_photographs_are_needed_without_int8_activations() -> None:
    assert quantize_network(network("none"), SCHEMES["fp32"], [], 32, 32)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_floats_are_held_in_the_dtype_of_their_scheme(scheme: str) -> None:
    """But for the output, whose 10 bits and more are the point, and scales of weights."""
    built = program(scheme, "ca")
    expected = getattr(torch, SCHEMES[scheme].float_dtype)
    *inner, output = [
        node.meta["val"]
        for node in built.graph.nodes
        if node.op == "call_function" and isinstance(node.meta.get("val"), torch.Tensor)
    ]
    assert {value.dtype for value in inner if value.is_floating_point()} == {expected}
    assert output.dtype is torch.float32
    held = [t for t in built.state_dict.values() if t.is_floating_point() and t.ndim > 1]
    assert {tensor.dtype for tensor in held} <= {expected}
    scales = [t for name, t in built.state_dict.items() if name.endswith("weight_scale")]
    assert {scale.dtype for scale in scales} <= {torch.float32}


def test_int8_weights_are_all_that_is_kept() -> None:
    net = network("ca")
    weights = sum(m.weight.numel() for m in net.modules() if isinstance(m, torch.nn.Conv2d))
    tensors = program("mixed", "ca").state_dict.values()
    assert sum(t.numel() for t in tensors if t.dtype == torch.int8) == weights
    assert all(t.ndim == 1 for t in tensors if t.dtype != torch.int8)


def test_quantizing_again_gives_the_same_program() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantize, "CROPS", 2)
        again = quantize_network(
            network("ca"), SCHEMES["mixed"], PHOTOS, HEIGHT, WIDTH, crop=(HEIGHT, WIDTH)
        )
    first = program("mixed", "ca")
    assert str(again.graph) == str(first.graph)
    for name, tensor in first.state_dict.items():
        assert torch.equal(tensor, again.state_dict[name]), name


def test_network_is_left_as_it_was() -> None:
    net = network("ca")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantize, "CROPS", 1)
        quantize_network(net, SCHEMES["int8"], PHOTOS, 32, 32)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_equalizing_changes_only_the_rounding(attention: str) -> None:
    net = network(attention)
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = net(image)
        equalized = fold_batch_norms(net)
        equalize_concats(equalized, MQNetEntry(attention).joined_tensors(equalized), image)
        torch.testing.assert_close(equalized(image), expected, rtol=0, atol=2e-5)


def test_equalized_tensors_fit_what_they_are_joined_with() -> None:
    net = fold_batch_norms(network("ca"))
    images = torch.from_numpy(calibration_crops(PHOTOS, 1, 2)).permute(0, 3, 1, 2) / 255
    equalize_concats(net, MQNetEntry("ca").joined_tensors(net), images)
    peaks = {}
    decoder = net.backbone.decoder
    for module in (*decoder.stages, decoder.merge_skip):
        module.register_forward_hook(lambda m, _, y: peaks.__setitem__(m, float(y.abs().max())))
    with torch.no_grad():
        net(images)
    assert list(peaks.values()) == pytest.approx([6, 6, 6, 6, 1], rel=1e-4)


@cache
def held_out() -> list[tuple[np.ndarray, torch.Tensor]]:
    """The middle of each bundled test photograph, as it is and dark, and H of it in float32."""
    deployed = ExportWrapper(load_checkpoint(None, "ca"))
    crops = []
    for path in bundled_photos("test"):
        image = np.pad(read_photo(path), [(3, 3), (0, 0), (0, 0)], mode="reflect")
        top, left = ((extent - 256) // 2 for extent in image.shape[:2])
        crop = image[top : top + 256, left : left + 256]
        crops += [crop, crop // 3]
    return [(crop, run(deployed, crop)) for crop in crops]


@pytest.mark.parametrize(
    ("scheme", "least", "mean"),
    [
        *(("fp32", 120, 120), ("fp16", 66, 70)),
        *(("w8a32", 44, 54), ("w8a16", 44, 53)),
        # Trained for long, the network puts peaks before InstanceNorm that 8 bits cannot hold.
        *(("mixed", 41.5, 48), ("mixed-qat", 42.5, 50), ("int8", 26, 28.5)),
    ],
)
def test_accuracy_on_photographs(
    quantized_program: ProgramFactory, scheme: str, least: float, mean: float
) -> None:
    """Against float32, in dB; no photograph is in both sets."""
    module = quantized_program(scheme, size=(256, 256)).module()
    figures = [psnr(run(module, crop), expected) for crop, expected in held_out()]
    assert min(figures) > least and np.mean(figures) > mean, figures


@pytest.mark.parametrize(("height", "width"), [(32, 32), (96, 160)])
def test_any_multiple_of_32(height: int, width: int) -> None:
    net = network("ca")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantize, "CROPS", 2)
        built = quantize_network(net, SCHEMES["mixed"], PHOTOS, height, width)
    image = photo(3)[:height, :width]
    output = run(built.module(), image)
    assert output.shape == (1, height, width, 3) and output.dtype == torch.float32
    assert psnr(output, run(ExportWrapper(net), image)) > 30


@pytest.mark.parametrize(("height", "width"), [(0, 32), (16, 32), (32, 40), (-32, 32)])
def test_other_sizes_are_refused(height: int, width: int) -> None:
    with pytest.raises(MqnetError, match=f"{height}x{width}.*multiples of 32"):
        quantize_network(network("none"), SCHEMES["fp32"], [], height, width)


def test_missed_convolutions_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "CROPS", 1)
    with monkeypatch.context() as patch:
        patch.setattr(MQNetEntry, "parts", lambda entry, graph: {})
        with pytest.raises(RuntimeError, match="0 of 74 convolutions are in a part"):
            quantize_network(network("none"), SCHEMES["mixed"], PHOTOS, 32, 32)
    monkeypatch.setattr(SchemeQuantizer, "_is_ours", lambda quantizer, node: False)
    with pytest.raises(RuntimeError, match="0 of the 71 convolutions of the backbone"):
        quantize_network(network("none"), SCHEMES["mixed"], PHOTOS, 32, 32)


def test_unknown_scheme_lists_the_known_ones() -> None:
    assert scheme_named("mixed") is SCHEMES["mixed"]
    assert set(get_args(SchemeName)) == set(SCHEMES)
    with pytest.raises(
        MqnetError, match="'int4': choose one of fp32, fp16, w8a32, w8a16, int8, mixed"
    ):
        scheme_named("int4")
