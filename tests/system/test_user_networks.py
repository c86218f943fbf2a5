"""A user's own network by the command line, from its file to a picture."""

from __future__ import annotations

import json
import re
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
import tvm
from command_line import Outcome, check_sentence, in_fork
from lowered_backbones import photo_crop
from PIL import Image
from reference.backbone import run_backbone
from tvm import relax

from compile.artefact.describe_parts import describe_parts
from compile.artefact.reader import open_artefact
from compile.imaging.bundled import bundled_photos
from compile.imaging.metrics import psnr
from compile.networks.registry import find_network
from compile.pipeline import PipelineOptions, emit, plan_network
from compile.quantize import quantize
from compile.quantize.schemes import scheme_named
from device.runtime.run_artefact import Session
from targets.load_target import load_target

PHOTOS = bundled_photos("test")
#: No multiple of anything but what the network's strides need.
SIZE = (36, 52)

MIX = '''
import torch
from torch import nn


class Mix(nn.Module):
    """As people write networks: batch norms beside convolutions, one of everything."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.down = nn.Sequential(nn.Conv2d(12, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.SiLU())
        self.up, self.bn2 = nn.ConvTranspose2d(24, 12, 2, 2), nn.BatchNorm2d(12)
        self.grow, self.shuffle = nn.Conv2d(36, 32, 1), nn.PixelShuffle(2)
        self.tail = nn.Sequential(nn.Conv2d(32, 3, 3, padding=1), nn.Sigmoid())

    def forward(self, x):
        y = nn.functional.leaky_relu(self.bn1(self.conv1(x)), 0.1)
        half = self.pool(y)
        up = torch.relu(self.bn2(self.up(self.down(half))))
        grown = self.shuffle(self.grow(torch.cat([half, up, half + up], 1)))
        return self.tail(torch.cat([grown, y, y * 0.5], 1)) + x


def build():
    torch.manual_seed(0)
    return Mix().eval(), (torch.rand(1, 3, 64, 64),)
'''


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mine") / "mix.py"
    path.write_text(MIX)
    return path


def test_its_backbone_is_that_of_numpy(file: Path) -> None:
    network = find_network(f"{file}:build", {"head": "tail"})
    options = PipelineOptions(load_target("host"), 1, True, Path("no records"))
    with mock.patch.object(quantize, "CROPS", 2):
        photos = network.calibration_photos()
        net, scheme = network.load(None), scheme_named("mixed")
        program = quantize.quantize_network(network, net, scheme, photos, *SIZE)
    image = photo_crop(PHOTOS[0], *SIZE)
    run = run_backbone(program, image)
    planned = plan_network(program, options)
    machine = relax.VirtualMachine(emit(planned, options), tvm.cpu())
    found = machine["backbone"](tvm.runtime.tensor(image))
    found = [found] if len(run.boundary) == 1 else list(found)
    assert len(found) == len(run.boundary) > 0
    for name, tensor in zip(run.boundary, found, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), run.tensors[name])
    macs = {part.name: part.macs for part in describe_parts(planned)}
    # 3x3, 32 channels to 3, at the full size, and nothing else.
    assert macs["head"] == SIZE[0] * SIZE[1] * 9 * 32 * 3


def _built(folder: Path, file: Path, *options: object) -> dict:
    outcome = in_fork(
        "compile/build", "--network", f"{file}:build", "--target", "host", "--size", "36x52",
        "--out", folder, "--json", *options,
    )  # fmt: skip
    assert outcome.code == 0, outcome
    return json.loads(outcome.out)


def test_from_the_file_to_a_picture(file: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in PHOTOS[:2]:
        (photos / path.name).write_bytes(path.read_bytes())
    manifest = _built(tmp_path / "mine", file, "--head", "tail", "--calibrate", photos)
    assert manifest["network"] == "mix" and manifest["decoding"] == "linear"
    assert "checkpoint" not in manifest
    assert manifest["inputs"][0]["shape"] == [1, *SIZE, 3]
    image = photo_crop(PHOTOS[2], *SIZE)
    found, _ = Session(open_artefact(tmp_path / "mine")).run(image[0])
    network = find_network(f"{file}:build", {})
    with torch.no_grad():
        wrapper = network.export_wrapper(network.load(None), torch.float32)
        expected = wrapper(torch.from_numpy(image)).numpy()[0]
    assert psnr(found, expected) > 35
    written = in_fork(
        "compile/infer", tmp_path / "mine", PHOTOS[2], "--resize", "-o", tmp_path / "out.exr"
    )
    assert written.code == 0, written
    assert (tmp_path / "out.exr").stat().st_size > 1000


def test_head_that_is_taken_by_itself_is_said(file: Path, tmp_path: Path) -> None:
    outcome = in_fork(
        "compile/build", "--network", f"{file}:build", "--target", "host", "--size", "36x52",
        "--out", tmp_path / "mine",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    assert "head begins at tail.0" in outcome.err and "--head" in outcome.err
    assert "the example input" in outcome.err and "--calibrate" in outcome.err


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("vgg", ("unknown network 'vgg'", "unet", "FILE.py:FUNCTION")),
        ("nowhere.py:build", ("nowhere.py", "no file")),
        ("MIX:make", ("has no function 'make'",)),
        ("MIX:build --head trail --calibrate PHOTOS", ("'trail'", "tail.0")),
        ("MIX:build --calibrate none", ("none is no folder",)),
        ("MIX:build --attention ca", ("leave --attention out",)),
        ("MIX:build --scheme mixed-qat", ("fine-tuned", "mixed")),
        ("MIX:build --size 35x50 --head tail --calibrate PHOTOS", ("35x50", "mix")),
        ("unet --head head", ("leave --head out",)),
        ("unet --size 8x8", ("8x8 is below 16x16",)),
    ],
)
def test_what_cannot_be_built(
    file: Path, tmp_path: Path, options: str, parts: tuple[str, ...]
) -> None:
    names = {"MIX:": f"{file}:", "PHOTOS": str(PHOTOS[0].parent)}
    given = [re.sub("MIX:|PHOTOS", lambda found: names[found[0]], one) for one in options.split()]
    size = () if "--size" in given else ("--size", "32x32")
    outcome = in_fork(
        "compile/build", "--network", *given, *size, "--target", "host", "--out", tmp_path / "out"
    )
    check_sentence(outcome, *parts)
    assert not (tmp_path / "out").exists()


def test_networks_are_listed() -> None:
    outcome = in_fork("compile/build", "--network", "help", "--json")
    assert outcome.code == 0, outcome
    found = {facts["name"]: facts for facts in json.loads(outcome.out)}
    assert {"mqnet", "unet", "unet++"} <= set(found)
    assert found["unet"]["parameters"] == 7_760_163 and found["unet"]["size_multiple"] == 16
    table = in_fork("compile/build", "--network", "help", env={"COLUMNS": "80"})
    assert table.code == 0 and "FILE.py:FUNCTION" in table.out and "7,760,163" in table.out


@pytest.mark.slow
def test_what_was_built_is_timed_and_tuned(file: Path, tmp_path: Path) -> None:
    folder, run = tmp_path / "mine", tmp_path / "run.json"
    _built(folder, file, "--head", "tail", "--scheme", "fp32")
    options = "--against", "pytorch", "--seconds", "0.2", "--out", run, "--json"
    outcome = in_fork("bench/latency", "--artefact", folder, *options)
    assert outcome.code == 0, outcome
    rows = {row["engine"]: row for row in json.loads(run.read_text())["rows"]}
    assert set(rows) == {"tvm", "pytorch"}
    assert min(row["psnr_db"] for row in rows.values()) > 90
    assert min(row["p50_ms"] for row in rows.values()) > 0
    beside = in_fork("bench/latency", "--artefact", folder, "--against", "litert")
    check_sentence(beside, "mix holds no files", "for other engines", "leave those engines out")
    times = in_fork("bench/kernel_times", folder, "--json")
    assert times.code == 0 and "net.tail.0" in times.out, times
    logs = tmp_path / "logs"
    logs.mkdir()
    tuned = in_fork(
        "compile/tune", "--network", f"{file}:build", "--head", "tail", "--target", "host",
        "--size", "36x52", "--trials", "2", "--logs", logs,
    )  # fmt: skip
    assert tuned.code == 0, tuned
    status = in_fork("compile/tune", "--status", "--logs", logs, "--target", "host")
    assert status.code == 0 and "mixed mix 36x52" in status.out, status


@pytest.mark.slow
def test_several_networks_are_compared_and_none_twice(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(MIX)
    out = tmp_path / "out"
    options = "--schemes", "fp32", "--against", "pytorch", "--seconds", "0.2", "--size", "36x52"

    def compare(*given: object) -> Outcome:
        return in_fork("bench/networks", "--out", out, *given)

    first = compare("--network", f"{file}:build", *options)
    assert first.code == 0, first
    session = (out / "mix.json").read_bytes()
    both = compare("--network", f"{file}:build", "--network", other, *options, "--json")
    assert both.code == 0 and "mix: measured before" in both.err, both
    assert (out / "mix.json").read_bytes() == session
    rows = json.loads(both.out)
    names = [(row["network"], row["engine"], row["scheme"]) for row in rows]
    assert sorted(names) == [
        (network, engine, "fp32") for network in ("mix", "other") for engine in ("pytorch", "tvm")
    ]
    parameters = sum(
        tensor.numel() for tensor in find_network(str(other), {}).load(None).parameters()
    )
    assert {row["parameters"] for row in rows} == {parameters}
    # PyTorch agrees with itself to the bit, and JSON has no infinity.
    assert min(row["psnr_db"] for row in rows if row["engine"] == "tvm") > 90
    assert pd.read_csv(out / "networks.csv")["p50_ms"].notna().all()
    assert Image.open(out / "networks.png").size[0] > 1000
    check_sentence(
        compare("--network", other, *options[:-1], "64x64"), "measured with size 36x52, not 64x64"
    )


def test_two_networks_of_one_name_are_not_compared(tmp_path: Path) -> None:
    paths = tmp_path / "a" / "net.py", tmp_path / "b" / "net.py"
    given = [word for path in paths for word in ("--network", path)]
    outcome = in_fork("bench/networks", "--out", tmp_path / "out", *given)
    check_sentence(outcome, *map(str, paths), "both called net")
    own = tmp_path / "mqnet.py"
    outcome = in_fork(
        "bench/networks", "--out", tmp_path / "out", "--network", "mqnet", "--network", own
    )
    check_sentence(outcome, str(own), "both called mqnet")
    assert not (tmp_path / "out").exists()


def test_a_build_that_makes_no_photograph(tmp_path: Path) -> None:
    (tmp_path / "grey.py").write_text(
        "import torch\n"
        "print('loaded')\n"
        "def build():\n"
        "    return torch.nn.Conv2d(1, 1, 3).eval(), (torch.rand(1, 1, 32, 32),)\n"
    )
    source, folder = f"{tmp_path / 'grey.py'}:build", tmp_path / "made"
    built = in_fork(
        "compile/build", "--network", source, "--target", "host", "--size", "32x32",
        "--scheme", "fp32", "--out", folder, "--json",
    )  # fmt: skip
    assert built.code == 0, built
    assert json.loads(built.out)["outputs"][0]["shape"] == [1, 30, 30, 1]
    assert "--calibrate" not in built.err, "floats need no calibration"
    outcome = in_fork("compile/infer", folder, PHOTOS[0], "--resize", "-o", tmp_path / "x.png")
    check_sentence(outcome, "30x30x1 of 32x32x1", "keeps the height, the width and the 3 channels")
    assert not (tmp_path / "x.png").exists()
    times = in_fork("bench/kernel_times", folder, "--json")
    assert times.code == 0 and json.loads(times.out), times
