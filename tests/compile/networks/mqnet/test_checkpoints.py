"""Checkpoints: the bundled one gives the published numbers, a wrong one gives one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from compile.imaging.bundled import bundled_photos
from compile.imaging.decode_hdr import decode_hdr, mu_law
from compile.imaging.metrics import psnr
from compile.imaging.read_photo import read_photo
from compile.imaging.transfer import srgb_decode, srgb_encode
from compile.networks.mqnet.attention import ATTENTIONS
from compile.networks.mqnet.checkpoints import (
    bundled_weights,
    inference_state,
    load_checkpoint,
    random_network,
    save_checkpoint,
)
from compile.networks.mqnet.network import MQNet
from compile.networks.mqnet.weights_folder import BUNDLED
from compile.support.errors import CheckpointError, MqnetError

# H on the image of `ramps` when the bundled weights were trained: red of every 21st row and 31st
# column, and the mean of each channel.
TRAINED_RED = (
    (0.503153, 0.583004, 0.659435, 0.728860),
    (0.504222, 0.583641, 0.657866, 0.726511),
    (0.499720, 0.580975, 0.657713, 0.726976),
    (0.503023, 0.580028, 0.657267, 0.779732),
)
TRAINED_MEANS = (0.621197, 0.620897, 0.621718)


def ramps() -> torch.Tensor:
    """float32 [1, 3, 64, 96]: red rises to the right, green downwards, blue along both."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    return torch.stack([x / 95, y / 63, (x + y) / 158])[None]


def test_bundled_weights_compute_what_they_did_in_training() -> None:
    net = load_checkpoint(None, "ca")
    assert not net.training
    with torch.no_grad():
        output = net(ramps())[0]
    torch.testing.assert_close(output[0, ::21, ::31], torch.tensor(TRAINED_RED), rtol=0, atol=2e-5)
    torch.testing.assert_close(output.mean((1, 2)), torch.tensor(TRAINED_MEANS), rtol=0, atol=1e-5)


def test_unclipped_photographs_of_a_plain_camera_come_back() -> None:
    """Of thirty means of channels one is off by more than 3 %, the red of the brushes."""
    net = load_checkpoint(None, "ca")
    decibels, gains = [], []
    for path in (*bundled_photos("calibration"), *bundled_photos("test")):
        image = Image.fromarray(read_photo(path))
        image.thumbnail((256, 256))
        pixels = np.asarray(image.crop((0, 0, image.width // 32 * 32, image.height // 32 * 32)))
        photo = np.rint(srgb_encode(0.7 * srgb_decode(pixels / 255)) * 255) / 255
        light = srgb_decode(photo)
        with torch.no_grad():
            output = net(torch.from_numpy(photo).float().movedim(-1, 0)[None])[0]
        found = decode_hdr(output.movedim(0, -1).numpy())
        decibels.append(psnr(mu_law(found), mu_law(light)))
        gains += list(found.mean((0, 1)) / light.mean((0, 1)))
    assert np.mean(decibels) > 52 and min(decibels) > 43
    off = sorted(abs(gain - 1) for gain in gains)
    assert off[-2] < 0.03 and off[-1] < 0.04


def test_bundled_weights_are_small_and_have_a_card() -> None:
    for path in BUNDLED.glob("*.safetensors"):
        assert path.stat().st_size < 5e6
        assert path.with_suffix(".md").exists()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_attention_has_trained_weights(attention: str) -> None:
    net = load_checkpoint(None, attention)
    assert net.attention == attention
    with torch.no_grad():
        output = net(ramps())[0]
    # Fine-tuned from channel attention's of some trainings ago: near to those, and not the same.
    assert (output.mean((1, 2)) - torch.tensor(TRAINED_MEANS)).abs().max() < 0.05


def test_no_weights_are_made_up() -> None:
    assert bundled_weights("ca", fine_tuned=True).name == "ca-qat.safetensors"
    with pytest.raises(CheckpointError, match="'sa' that were fine-tuned.*--checkpoint"):
        bundled_weights("sa", fine_tuned=True)
    with pytest.raises(MqnetError, match="unknown attention 'cbam'"):
        bundled_weights("cbam")


@pytest.mark.parametrize("attention", ["ca", "csa", "sa", "none"])
def test_saved_and_loaded_again(tmp_path: Path, attention: str) -> None:
    net = random_network(attention, 5)
    path = tmp_path / "net.safetensors"
    save_checkpoint(net, path, "random")
    loaded = load_checkpoint(path, attention)
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(net(image), loaded(image))


def test_random_networks_follow_their_seed_and_leave_the_global_state() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (random_network("sa", seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    name = "head.conv1.weight"
    assert torch.equal(first[name], again[name]) and not torch.equal(first[name], other[name])


def test_unknown_attention() -> None:
    with pytest.raises(MqnetError, match="choose one of"):
        load_checkpoint(None, "cbam")


def one_sentence(error: pytest.ExceptionInfo[CheckpointError], path: Path) -> str:
    text = str(error.value)
    assert str(path) in text and "\n" not in text
    return text


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, "ca")
    assert "does not exist" in one_sentence(error, path)


@pytest.mark.parametrize("kept", [0, 4, 2_000, 1_000_000])
def test_truncated_file(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes((BUNDLED / "ca.safetensors").read_bytes()[:kept])
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, "ca")
    assert "copy it again" in one_sentence(error, path)


def test_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(MQNet("ca").state_dict(), path)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, "ca")
    text = one_sentence(error, path)
    assert "pickle" in text and "safetensors" in text


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path, "ca")
    one_sentence(error, tmp_path)


def test_other_attention(tmp_path: Path) -> None:
    path = tmp_path / "sa.safetensors"
    save_checkpoint(random_network("sa", 0), path, "random")
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, "ca")
    assert "--attention sa" in one_sentence(error, path)


def write(path: Path, change: dict[str, torch.Tensor | None], **metadata: str) -> None:
    tensors = inference_state(MQNet("ca")) | change
    described = {
        "architecture": "mqnet",
        "attention": "ca",
        "decoding": "extended_srgb",
        "training": "none",
    } | metadata
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, path, described)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"head.conv1.weight": torch.zeros(12, 16, 5, 5)}, r"(12, 16, 5, 5)"),
        ({"head.conv3.weight": None}, "no tensor 'head.conv3.weight'"),
        ({"head.conv4.weight": torch.zeros(1)}, "'head.conv4.weight'"),
        ({"head.conv3.weight": torch.zeros(3, 6, 1, 1, dtype=torch.float16)}, "float16"),
        ({"head.conv3.weight": torch.full((3, 6, 1, 1), torch.nan)}, "not a finite number"),
    ],
)
def test_other_tensors(tmp_path: Path, change: dict, expected: str) -> None:
    path = tmp_path / "other.safetensors"
    write(path, change)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, "ca")
    assert expected in one_sentence(error, path)


def test_other_architecture(tmp_path: Path) -> None:
    path = tmp_path / "resnet.safetensors"
    save_file({"fc.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, "ca")
    assert "architecture" in one_sentence(error, path)
