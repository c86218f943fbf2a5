"""Fine-tuning of a user's network under quantization, from its function to the program."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.export import ExportedProgram

from compile.imaging.metrics import psnr
from compile.networks.call_user_function import call_user_function
from compile.networks.network import Network
from compile.networks.registry import find_network
from compile.networks.run_module import run_module
from compile.quantize.keep_program import program_key, training_content
from compile.quantize.quantize import quantize_network
from compile.quantize.schemes import SCHEMES
from compile.support.errors import MqnetError
from compile.training.distill import distill

NET = """
from functools import partial

import numpy as np
import torch
from torch import nn

from compile.networks.user_module import UserModule
from compile.training.distill import distill

PHOTOS = [np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)]


def made(train, shape=(1, 3, 32, 32)):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 1)
    net = nn.Sequential(*layers, nn.Sigmoid()).eval()
    net[0].weight.data[:, 0, 0, 0] = 8  # What is beside it is rounded to few steps.
    return UserModule(net, (torch.rand(shape),), head="3", train=train)


def build():
    given = dict(photos=PHOTOS, steps=60, size=32, batch=2, learning_rate=1e-3)
    return made(partial(distill, **given))


def fails():
    def train(module, exact):
        raise ValueError("no data\\nat all")

    return made(train)


def diverges():
    def train(module, exact):
        for one in module.parameters():
            one.data *= float("nan")

    return made(train)


def nothing():
    return made(7)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def quantized(network: Network, scheme: str) -> ExportedProgram:
    photos = network.calibration_photos()
    return quantize_network(network, network.load(None), SCHEMES[scheme], photos, 32, 32)


def test_trained_weights_are_nearer(file: Path) -> None:
    """To the float network than those that were only rounded, on the photographs of the training;
    and the module that was given stays what it was."""
    network = find_network(f"{file}:build", {})
    assert network.weights(fine_tuned=True) is None
    net, before = network.load(None), network.load(None).state_dict()
    photos = call_user_function(network.source).returned.train.keywords["photos"]
    frame = photos[0][:32, :32]
    exact = run_module(network.export_wrapper(net, torch.float32).eval(), frame)
    found = {
        scheme: run_module(quantized(network, scheme).module(), frame)
        for scheme in ("mixed", "mixed-qat")
    }
    scores = {scheme: psnr(one, exact) for scheme, one in found.items()}
    assert scores["mixed-qat"] > scores["mixed"] + 0.5, scores
    again = run_module(quantized(network, "mixed-qat").module(), frame)
    np.testing.assert_array_equal(again, found["mixed-qat"])
    after = network.load(None).state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("fails", "the training function of net-fails fails: ValueError: no data$"),
        ("diverges", "leaves weights that are no numbers: choose a lower learning rate"),
        ("nothing", "train 7 .a function of two modules"),
    ],
)
def test_functions_that_do_not_do(file: Path, function: str, said: str) -> None:
    with pytest.raises(MqnetError, match=said):
        quantized(find_network(f"{file}:{function}", {}), "mixed-qat")


def test_another_training_is_another_program(file: Path) -> None:
    """The file of the training function is in the key of what is kept, of the scheme that trains;
    of one in a library what it is given."""
    network = find_network(f"{file}:fails", {})
    net = network.load(None)

    def keys() -> list[str]:
        names = ("mixed", "mixed-qat")
        return [program_key(network, SCHEMES[name], None, net) for name in names]

    before = keys()
    file.write_text(NET + "\n# Another training.\n")
    after = keys()
    assert after[0] == before[0] and after[1] != before[1]
    kinds = [partial(distill, photos=[], steps=steps) for steps in (1, 2)]
    assert len({b"".join(training_content(one)) for one in kinds}) == 2
