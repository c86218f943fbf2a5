"""The reader of .pt2: float programs and quantized ones, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from quantized_files import SIZE, Compiled, quantized, residual, saved
from reference.backbone import run_backbone
from torch import Tensor, nn
from torch.export import Dim
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)
from torchao.testing.pt2e._xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)

from compile.networks.files.program_file import read_program_file
from compile.networks.registry import find_network
from compile.quantize.pt2e import Quantizer
from compile.support.errors import MqnetError

IMAGE = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)


def of_xnnpack(per_channel: bool) -> Quantizer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = get_symmetric_quantization_config(is_per_channel=per_channel)
        return XNNPACKQuantizer().set_global(config)


def of_x86() -> Quantizer:
    return X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config())


@pytest.mark.parametrize("decomposed", [False, True])
def test_float_program_is_the_module(tmp_path: Path, decomposed: bool) -> None:
    net, x = residual()
    program = torch.export.export(net, (x,))
    program = program.run_decompositions() if decomposed else program
    file = read_program_file(saved(program, tmp_path / "net.pt2"))
    assert (file.channels, file.size, file.scheme) == (3, SIZE, "")
    with torch.no_grad():
        torch.testing.assert_close(file.module(x), net(x), rtol=1e-6, atol=1e-6)
    modules = dict(file.module.named_modules())
    assert isinstance(modules["first.0"], nn.Conv2d)
    assert isinstance(modules["first.1"], nn.BatchNorm2d)
    assert modules["tail"].weight.shape == (3, 16, 1, 1)


def test_float_program_is_compiled(tmp_path: Path) -> None:
    net, x = residual()
    path = saved(torch.export.export(net, (x,)), tmp_path / "net.pt2")
    compiled = Compiled(find_network(str(path), {}), "fp32")
    with torch.no_grad():
        expected = net(torch.from_numpy(IMAGE).permute(0, 3, 1, 2) / 255).permute(0, 2, 3, 1)
    np.testing.assert_allclose(compiled.run(IMAGE)[0], expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("quantizer", "in_integers"),
    [(of_xnnpack(True), 5), (of_xnnpack(False), 5), (of_x86(), 2)],
    ids=["by channel", "by tensor", "uint8"],
)
def test_quantized_program_keeps_its_scales(
    tmp_path: Path, quantizer: Quantizer, in_integers: int
) -> None:
    """x86's sum of two convolutions without a scale between is in float, and right."""
    path = saved(quantized(*residual(), quantizer), tmp_path / "net.pt2")
    network = find_network(str(path), {})
    assert network.scheme == "int8"
    compiled = Compiled(network, "int8")
    run = run_backbone(compiled.program, IMAGE)
    assert len(run.tensors) == in_integers
    found = compiled.run(IMAGE, "backbone")
    for name, tensor in zip(run.boundary, found, strict=True):
        np.testing.assert_array_equal(tensor, run.tensors[name])
    step = 1 / 255  # Of the sigmoid's input at most, whose slope is at most 1/4.
    np.testing.assert_allclose(compiled.run(IMAGE)[0], compiled.expected(IMAGE), atol=step)


class Two(nn.Module):
    """A picture's features and an index to a dictionary of tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv2d(6, 8, 3, padding=1), nn.Linear(8, 5)
        self.places = nn.Embedding(4, 8)

    def forward(self, pair: Tensor, place: Tensor) -> dict[str, Tensor]:
        features = torch.relu(self.conv(pair)).mean((2, 3)) + self.places(place)
        values = self.dense(features)
        return {"values": values, "best": values.argmax(1)}


def two() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    return Two().eval(), (torch.rand(1, 6, 8, 12), torch.tensor([2]))


@pytest.mark.parametrize("scheme", ["fp32", "int8"])
def test_tensors_by_name(tmp_path: Path, scheme: str) -> None:
    net, inputs = two()
    path = saved(torch.export.export(net, inputs), tmp_path / "net.pt2")
    names = "pair", "place"
    for number in range(3):
        sample = torch.rand(1, 6, 8, 12), torch.tensor([number])
        arrays = {name: one.numpy() for name, one in zip(names, sample, strict=True)}
        np.savez(tmp_path / f"sample{number}.npz", **arrays)
    network = find_network(str(path), {"calibrate": str(tmp_path) if scheme == "int8" else None})
    assert not network.takes_photographs and not network.makes_pictures
    assert (network.input_names, network.output_names) == (names, ("values", "best"))
    compiled = Compiled(network, scheme)
    values, best = compiled.run_tensors(*(one.numpy() for one in inputs))
    with torch.no_grad():
        expected = net(*inputs)
    apart = 1e-6 if scheme == "fp32" else 0.05
    np.testing.assert_allclose(values, expected["values"].numpy(), atol=apart)
    np.testing.assert_array_equal(best, values.argmax(1))
    assert best.dtype == np.int64


def test_calibration_tensors_that_do_not_fit(tmp_path: Path) -> None:
    net, inputs = two()
    path, folder = saved(torch.export.export(net, inputs), tmp_path / "net.pt2"), tmp_path / "npz"
    network = find_network(str(path), {"calibrate": str(folder)})
    with pytest.raises(MqnetError, match=r"calibrate .*npz is no folder: give one"):
        network.calibration_tensors()
    folder.mkdir()
    with pytest.raises(MqnetError, match=r"holds no .npz file with pair, place"):
        network.calibration_tensors()
    np.savez(folder / "a.npz", pair=inputs[0].numpy(), place=np.array([1], np.int32))
    with pytest.raises(MqnetError, match=r"a.npz has torch.int32 \[1\] for place: give"):
        network.calibration_tensors()
    (folder / "a.npz").write_bytes(b"nothing")
    with pytest.raises(MqnetError, match=r"a.npz cannot be read"):
        network.calibration_tensors()
    with pytest.raises(MqnetError, match=r"a folder of files of its tensors \(.npz\)"):
        find_network(str(path), {}).check_scheme("int8", True)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: torch.export.export(nn.Conv2d(3, 3, 1), (torch.rand(2, 3, 8, 8),)),
            r"input torch.float32 \[2, 3, 8, 8\]",
        ),
        (
            lambda: torch.export.export(
                nn.Conv2d(3, 3, 1),
                (torch.rand(1, 3, 8, 8),),
                dynamic_shapes=({2: Dim("rows", min=4, max=64)},),
            ),
            r"dynamic shapes, \[1, 3, .*, 8\].*with fixed sizes",
        ),
        (
            lambda: torch.export.export(
                nn.Conv2d(3, 3, 1).double(), (torch.rand(1, 3, 8, 8).double(),)
            ),
            "input torch.float64",
        ),
        (
            lambda: torch.export.export(nn.BatchNorm2d(3).train(), (torch.rand(1, 3, 8, 8),)),
            "evaluation mode",
        ),
    ],
    ids=["batch", "dynamic", "double", "training"],
)
def test_what_is_refused(tmp_path: Path, make: object, said: str) -> None:
    path = saved(make(), tmp_path / "net.pt2")
    with pytest.raises(MqnetError, match=said):
        read_program_file(path)


def test_damaged_files(tmp_path: Path) -> None:
    net, x = residual()
    path = saved(torch.export.export(net, (x,)), tmp_path / "net.pt2")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MqnetError, match=r"net.pt2 is cut off or no exported program"):
        read_program_file(path)
    place = whole.index(b"first.0.weight") + 1
    path.write_bytes(whole[:place] + b"?" + whole[place + 1 :])
    with pytest.raises(MqnetError, match=r"net.pt2 is damaged in"):
        read_program_file(path)
    torch.save({"weights": x}, path)
    with pytest.raises(MqnetError, match=r"net.pt2 cannot be loaded by torch"):
        read_program_file(path)
