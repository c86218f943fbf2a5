"""Networks that take or give no pictures, by the command line: tensors by name in files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import check_sentence, in_fork

from compile.imaging.bundled import bundled_photos
from compile.imaging.fit_size import fit_photo
from compile.imaging.read_photo import read_photo
from compile.networks.registry import find_network

NETS = '''
import torch
from torch import nn
from compile.networks.user_module import UserModule


class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(6, 16, 3, padding=1), nn.Conv2d(16, 16, 3, 2, 1)
        self.c = nn.Conv2d(16, 8, 1)

    def forward(self, pair, before):
        y = torch.relu(self.b(torch.relu(self.a(pair)))) + before
        return {"flow": self.c(y), "mean": nn.functional.adaptive_avg_pool2d(y, 1).flatten(1)}


def flow():
    torch.manual_seed(0)
    samples = [(torch.randn(1, 6, 30, 46), torch.randn(1, 16, 15, 23)) for _ in range(4)]
    return UserModule(Flow().eval(), samples[0], calibration=samples, head="c")


class Features(nn.Module):
    """Its size is fixed by a buffer, and it needs one that is no multiple of 16."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1)
        self.register_buffer("place", torch.randn(1, 16, 20, 26))

    def forward(self, x):
        y = torch.relu(self.b(torch.relu(self.a(x)) + self.place))
        return nn.functional.adaptive_avg_pool2d(y, 1).flatten(1)


def features():
    torch.manual_seed(0)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    photo = (torch.rand(1, 3, 40, 52),)
    return UserModule(Features().eval(), photo, mean=mean, std=std, output_names=["features"])


def light():
    """Of the shape of a photograph, and none."""
    torch.manual_seed(0)
    light = (torch.rand(1, 3, 12, 20) * 900,)
    return UserModule(nn.Conv2d(3, 8, 3, padding=1).eval(), light, photographs=False)
'''


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tensors") / "nets.py"
    path.write_text(NETS)
    return path


@pytest.fixture(scope="module", params=["fp32", "mixed", "int8"])
def flow(request: pytest.FixtureRequest, file: Path) -> tuple[str, Path]:
    """Scheme and folder of a network of two inputs and two outputs."""
    folder = file.with_name(request.param)
    built = in_fork(
        *("compile/build", "--network", f"{file}:flow", "--scheme", request.param),
        *("--target", "host", "--threads", 1, "--out", folder, "--json"),
    )
    assert built.code == 0, built.err
    manifest = json.loads(built.out)
    assert [one["name"] for one in manifest["inputs"]] == ["pair", "before"]
    assert [one["shape"] for one in manifest["outputs"]] == [[1, 8, 15, 23], [1, 16]]
    share = manifest["coverage"]["int8_macs"] / sum(
        manifest["coverage"][name] for name in ("int8_macs", "float_macs")
    )
    assert share == {"fp32": 0, "int8": 1}.get(request.param, share) and (
        request.param == "fp32" or share > 0.9
    )
    return request.param, folder


def test_tensors_by_name(flow: tuple[str, Path], file: Path, tmp_path: Path) -> None:
    scheme, folder = flow
    random = np.random.default_rng(3)
    inputs = {
        "before": random.standard_normal((1, 16, 15, 23), np.float32),
        "pair": random.standard_normal((1, 6, 30, 46), np.float32),
    }
    np.savez(tmp_path / "in.npz", **inputs)
    done = in_fork("compile/infer", folder, tmp_path / "in.npz", "-o", tmp_path / "out.npz")
    assert done.code == 0, done.err
    net = find_network(f"{file}:flow", {}).load(None)
    with torch.no_grad():
        expected = net(torch.from_numpy(inputs["pair"]), torch.from_numpy(inputs["before"]))
    with np.load(tmp_path / "out.npz") as found:
        assert set(found) == {"flow", "mean"}
        for name, tensor in expected.items():
            noise = np.square(found[name] - tensor.numpy()).mean()
            ratio = 10 * np.log10(tensor.square().mean().item() / noise)
            assert ratio > (120 if scheme == "fp32" else 30), (name, ratio)


@pytest.mark.parametrize("flow", ["fp32"], indirect=True)
def test_a_picture_is_no_tensor(flow: tuple[str, Path], tmp_path: Path) -> None:
    photo = bundled_photos("test")[0]
    outcome = in_fork("compile/infer", flow[1], photo, "-o", tmp_path / "x.npz")
    check_sentence(outcome, str(photo), "give a .npz with 'pair', 'before'")
    outcome = in_fork("compile/infer", flow[1], photo, "-o", tmp_path / "x.avif")
    check_sentence(outcome, "8x15x23 of 6x30x46", "--format npz")
    assert list(tmp_path.iterdir()) == []


def test_tensors_have_one_size(file: Path) -> None:
    asked = ("--network", f"{file}:flow", "--target", "host", "--size", "64x64", "--no-cache")
    check_sentence(in_fork("compile/build", *asked), "takes tensors of its example's shapes")


def test_features_of_a_photograph(file: Path, tmp_path: Path) -> None:
    built = in_fork(
        *("compile/build", "--network", f"{file}:features", "--scheme", "int8", "--json"),
        *("--target", "host", "--threads", 1, "--out", tmp_path / "int8"),
    )
    assert built.code == 0, built.err
    manifest = json.loads(built.out)
    assert manifest["inputs"][0]["shape"] == [1, 40, 52, 3]
    assert manifest["coverage"]["float_macs"] == 0
    photo = bundled_photos("test")[0]
    out = tmp_path / "out.npy"
    done = in_fork("compile/infer", tmp_path / "int8", photo, "--resize", "-o", out)
    assert done.code == 0, done.err
    net = find_network(f"{file}:features", {}).load(None)
    frame, _ = fit_photo(read_photo(photo, (40, 52)), 40, 52, "resize")
    with torch.no_grad():
        expected = net(torch.from_numpy(frame.copy()).permute(2, 0, 1)[None] / 255).numpy()
    found = np.load(out)
    assert found.shape == (1, 32) and np.abs(found - expected).max() < 0.1 * expected.max()
    np.testing.assert_allclose(found, expected, atol=0.1 * expected.std() + 0.05)
    np.save(tmp_path / "pixels.npy", frame[None])
    again = tmp_path / "again.npy"
    done = in_fork("compile/infer", tmp_path / "int8", tmp_path / "pixels.npy", "-o", again)
    assert done.code == 0 and np.array_equal(np.load(again), found), done.err
    np.save(tmp_path / "light.npy", np.zeros((1, 3, 40, 52), np.float32))
    outcome = in_fork("compile/infer", tmp_path / "int8", tmp_path / "light.npy", "-o", again)
    check_sentence(outcome, "light.npy has float32", "the network takes uint8 [1, 40, 52, 3]")


def test_a_tensor_of_three_channels(file: Path, tmp_path: Path) -> None:
    built = in_fork(
        *("compile/build", "--network", f"{file}:light", "--scheme", "int8"),
        *("--threads", 1, "--out", tmp_path / "int8"),
    )
    assert built.code == 0, built.err
    network = find_network(f"{file}:light", {})
    (light,) = network.example_inputs(12, 20)
    np.save(tmp_path / "in.npy", light.numpy())
    out = tmp_path / "out.npy"
    done = in_fork("compile/infer", tmp_path / "int8", tmp_path / "in.npy", "-o", out)
    assert done.code == 0, done.err
    with torch.no_grad():
        expected = network.load(None)(light).numpy()
    assert np.abs(np.load(out) - expected).max() < 0.02 * np.ptp(expected)
