"""A network from a user's own file, and what may be wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from compile.networks.registry import built_network, find_network
from compile.quantize.export_network import export_network
from compile.support.errors import MqnetError

GOOD = """
import torch
from torch import nn
from compile.networks.user_module import UserModule
from neighbour import WIDTH

def build():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(WIDTH, 3, 1))
    return net.eval(), (torch.rand(1, 3, 64, 48),)

def tensors():
    return UserModule(Pair().eval(), (torch.rand(1, 3), torch.zeros(1, 4, dtype=torch.int8)))

def normalized():
    return UserModule(net, picture, mean=(0.5, 0.25, 0.0), std=(2.0, 1.0, 0.5), decoding="srgb")

net, picture = nn.Conv2d(3, 3, 1).eval(), (torch.rand(1, 3, 32, 40),)

class Nested(nn.Module):
    def forward(self, x):
        return x, (x, x)

class Pair(nn.Module):
    def forward(self, left, right):
        return {"sum": left.sum(1), "right": right}

def grey():
    return nn.Conv2d(1, 1, 1).eval(), (torch.rand(1, 1, 32, 32),)

class Wrong:
    training = lambda: (nn.Conv2d(3, 3, 1), (torch.rand(1, 3, 32, 32),))
    alone = lambda: nn.Conv2d(3, 3, 1).eval()
    two = lambda: (nn.Conv2d(3, 3, 1).eval(), (torch.rand(1, 3, 32, 32),) * 2)
    halves = lambda: (nn.Conv2d(3, 3, 1).eval(), (torch.zeros(1, 3, 9, 9).half(),))
    batch = lambda: (nn.Conv2d(3, 3, 1).eval(), (torch.zeros(2, 3, 9, 9),))
    nothing = lambda: (nn.Conv2d(3, 3, 1).eval(), ())
    nested = lambda: (Nested().eval(), (torch.rand(1, 3),))
    unlike = lambda: UserModule(net, picture, calibration=[(torch.rand(1, 3, 4, 4),)])
    named = lambda: UserModule(net, picture, input_names=["a", "a"])
    deviation = lambda: UserModule(net, picture, mean=(0.0, 0.0, 0.0), std=(1.0,))
    of_tensors = lambda: UserModule(net, (torch.rand(1, 3),), mean=(0.0,), std=(1.0,))
    decoded = lambda: UserModule(net, picture, decoding="pq")
    listed = lambda: (nn.Conv2d(3, 3, 1).eval(), [torch.rand(1, 3, 32, 32)])
    fails = lambda: 1 / 0

globals().update({name: value for name, value in vars(Wrong).items() if name[0] != "_"})
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("WIDTH = 5\n")
    path = tmp_path / "my_net.py"
    path.write_text(GOOD)
    return path


def test_it_brings_its_weights_and_its_picture(file: Path) -> None:
    network = find_network(f"{file}:build", {})
    assert network.label == network.title == "my_net" and network.channels == 3
    assert network.weights(fine_tuned=False) is None and network.decoding == "linear"
    (photo,) = network.calibration_photos()
    assert photo.shape == (64, 48, 3) and photo.dtype == np.uint8 and photo.std() > 60
    net = network.load(None)
    assert net(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)
    assert net is not network.load(None)
    assert find_network(str(file), {}).label == "my_net"
    assert find_network(f"{file}:grey", {}).label == "my_net-grey"


def test_tensors_and_pictures_are_told_apart(file: Path) -> None:
    tensors = find_network(f"{file}:tensors", {})
    assert not tensors.takes_photographs and not tensors.makes_pictures
    assert tensors.input_names == ("left", "right") and tensors.output_names == ("sum", "right")
    assert [tuple(one.shape) for one in tensors.example_inputs(*tensors.default_size)] == [
        (1, 3),
        (1, 4),
    ]
    tensors.check_size(*tensors.default_size)
    with pytest.raises(MqnetError, match="takes tensors of its example's shapes: leave the size"):
        tensors.check_size(64, 64)
    with pytest.raises(MqnetError, match="photos is a folder of photographs, and .* takes tensors"):
        find_network(f"{file}:tensors", {"calibrate": "photos"}).calibration_tensors()
    ((left, right),) = tensors.calibration_tensors()
    wrapper = tensors.export_wrapper(tensors.load(None), torch.float32).eval()
    total, same = wrapper(left, right)
    assert torch.equal(total, left.sum(1)) and same.dtype == torch.int8
    picture = find_network(f"{file}:build", {})
    assert (
        picture.takes_photographs
        and picture.makes_pictures
        and picture.default_size == (64, 48)
        and picture.size is None
    )


def test_a_photograph_is_normalized(file: Path, tmp_path: Path) -> None:
    network = find_network(f"{file}:normalized", {})
    net, photo = network.load(None), torch.rand(1, 3, 5, 7)
    mean, std = torch.tensor([0.5, 0.25, 0.0]), torch.tensor([2.0, 1.0, 0.5])
    plain = find_network(f"{file}:normalized", {}).make()
    expected = plain((photo - mean[:, None, None]) / std[:, None, None])
    torch.testing.assert_close(net(photo), expected)
    np.testing.assert_allclose(network.decode(np.float32([0.5])), [0.2140411], rtol=1e-6)
    # A file of weights is of the function's module.
    save_file({name: tensor + 1 for name, tensor in plain.state_dict().items()}, tmp_path / "w")
    loaded = network.load(tmp_path / "w").state_dict()
    assert torch.equal(loaded["module.weight"], plain.weight + 1)


def test_weights_of_a_file(file: Path, tmp_path: Path) -> None:
    network = find_network(f"{file}:build", {})
    state = {name: tensor + 1 for name, tensor in network.load(None).state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    loaded = network.load(tmp_path / "weights.safetensors").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())
    for change, said in (
        ({"2.bias": torch.zeros(4)}, "of another network: .*2.bias"),
        ({"3.bias": torch.zeros(4)}, "has besides 3.bias"),
    ):
        save_file({**state, **change}, tmp_path / "other.safetensors")
        with pytest.raises(MqnetError, match=said):
            network.load(tmp_path / "other.safetensors")
    (tmp_path / "text").write_text("no weights")
    for name, said in (("text", "no safetensors file"), ("none", "does not exist")):
        with pytest.raises(MqnetError, match=f"{name} .*{said}|{name} {said}"):
            network.load(tmp_path / name)
    with pytest.raises(MqnetError, match="fine-tuned under quantization"):
        network.weights(fine_tuned=True)


def test_photographs_of_a_folder(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos, empty = tmp_path / "photos", tmp_path / "empty"
    photos.mkdir()
    empty.mkdir()
    with pytest.raises(MqnetError, match="empty holds no photograph"):
        find_network(f"{file}:build", {"calibrate": str(empty)}).calibration_photos()
    Image.new("RGB", (40, 33), (200, 100, 50)).save(photos / "b.png")
    Image.new("RGB", (34, 50), (10, 20, 30)).save(photos / "a.PNG")
    (photos / "notes.txt").write_text("no photograph")
    (photos / "c.DNG").write_bytes(b"a raw one")
    (photos / "._b.png").write_bytes(b"\0\5\26\7")  # As macOS leaves on other systems' disks.
    shapes = [
        photo.shape
        for function in ("build", "grey")
        for photo in find_network(
            f"{file}:{function}", {"calibrate": str(photos)}
        ).calibration_photos()
    ]
    assert shapes == [(50, 34, 3), (33, 40, 3), (50, 34, 1), (33, 40, 1)]
    assert "are left out: c.DNG" in caplog.text
    with pytest.raises(MqnetError, match="calibrate .*nowhere is no folder"):
        find_network(f"{file}:build", {"calibrate": str(tmp_path / "nowhere")}).calibration_photos()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("missing", "has no function 'missing'"),
        ("nn", "has no function 'nn'"),
        ("training", r"training mode \(call its eval\(\)\)"),
        ("alone", "returns a Conv2d: let it return"),
        ("two", "fails: TypeError: .*3 were given"),
        ("halves", r"an input torch.float16 \[1, 3, 9, 9\]"),
        ("batch", r"an input torch.float32 \[2, 3, 9, 9\] \(float32 or integers, one picture"),
        ("nothing", "no example input"),
        ("listed", "inputs that are no tuple of tensors"),
        ("nested", "fails: TypeError: it gives a tuple: let it give a tensor, or a flat tuple"),
        ("unlike", "calibration inputs .* unlike its example"),
        ("named", r"names \['a', 'a'\] for 1 inputs: name each once"),
        ("deviation", r"std \[1.0\] of a photograph of 3 channels: give one number of each"),
        ("of_tensors", "has mean and std, which are of photographs"),
        ("decoded", "decoding 'pq': choose one of extended_srgb, linear, srgb"),
        ("fails", "fails: ZeroDivisionError: division by zero"),
    ],
)
def test_a_function_that_is_wrong(file: Path, function: str, said: str) -> None:
    with pytest.raises(MqnetError, match=said):
        find_network(f"{file}:{function}", {}).load(None)


def test_fields_that_are_odd(tmp_path: Path) -> None:
    """Arrays and what is run through once are taken, and what fits no field is named."""
    path = tmp_path / "odd.py"
    path.write_text(
        "import numpy as np, torch\n"
        "from torch import nn\n"
        "from compile.networks.user_module import UserModule\n"
        "class Two(nn.Module):\n"
        "    def forward(self, x):\n"
        "        return {0: x * 2, self.key: x.mul_(2)}\n"
        "def make(key='0 ', inputs=None, **fields):\n"
        "    net = Two().eval()\n"
        "    net.key = key\n"
        "    return UserModule(net, inputs or (torch.ones(1, 3, 4, 4),), **fields)\n"
        "nan = (torch.full((1, 3, 4, 4), float('nan')),)\n"
        "arrays = lambda: make(mean=np.ones(3), std=torch.ones(3), output_names=None,\n"
        "    calibration=((torch.zeros(1, 3, 4, 4),) for _ in range(2)))\n"
        "same = lambda: make(key='0')\n"
        "number = lambda: make(output_names=[1, 2])\n"
        "ending = lambda: make(output_names=['a', 'a.npy'])\n"
        "zero = lambda: make(output_names=['a', 'a\\0'])\n"
        "text = lambda: make(mean='abc')\n"
        "photo = lambda: make(photographs='no')\n"
        "heads = lambda: make(head=['a', 'b'])\n"
        "infinite = lambda: make(mean=(0, 0, 0), std=(1, 1, float('inf')))\n"
        "sample = lambda: make(calibration=[nan])\n"
    )
    taken = find_network(f"{path}:arrays", {})
    assert taken.returned.mean == (1, 1, 1) and len(taken.calibration_photos()) == 2
    assert taken.returned.example_inputs[0].max() == 1  # The module has written into a copy.
    for function, said in {
        "same": "whose keys .0, '0'. are not all other texts",
        "number": "names a tensor '1': names of tensors are texts",
        "ending": "names a tensor 'a.npy'",
        "zero": "names a tensor",
        "text": "returns mean 'abc' .it is no sequence",
        "photo": "photographs 'no' .True or False",
        "heads": "several are one text, with commas between",
        "infinite": "give finite numbers",
        "sample": "inputs with numbers that are not finite",
    }.items():
        with pytest.raises(MqnetError, match=said):
            assert find_network(f"{path}:{function}", {}).takes_photographs


def test_a_file_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(MqnetError, match="nowhere.py is no file"):
        find_network(f"{tmp_path}/nowhere.py:build", {}).load(None)
    broken = tmp_path / "broken.py"
    broken.write_text("def build(:\n")
    with pytest.raises(MqnetError, match="broken.py:build fails: SyntaxError"):
        find_network(f"{broken}:build", {}).load(None)


def test_parameters_of_another_network() -> None:
    with pytest.raises(MqnetError, match="network unet has no attention: leave --attention out"):
        find_network("unet", {"attention": "ca"})
    with pytest.raises(MqnetError, match="network mqnet has no head"):
        find_network("mqnet", {"head": "tail"})
    with pytest.raises(MqnetError, match="unknown network 'vgg': choose one of mqnet, unet"):
        find_network("vgg", {"head": "tail"})


HABITS = """
from __future__ import annotations
import random, sys
from dataclasses import dataclass
import numpy as np
import torch
from torch import nn

print("a line of the user's")

@dataclass
class Config:
    width: int = 8

class Net(nn.Module):
    def __init__(self, what):
        super().__init__()
        self.body, self.what = nn.Conv2d(3, 3, 1), what

    def forward(self, x):
        print("a line of the user's")
        y = self.body(x)
        return {"chance": torch.randn_like(y), "branch": None}.get(self.what, y) \
            if self.what != "branch" or y.mean() > 0 else y

def build():
    assert sys.argv[1:] == [], sys.argv
    net = nn.Conv2d(3, Config().width, 1)
    net.bias.data[:2] = torch.tensor([random.random(), np.random.rand()])
    return net.eval(), (torch.rand(1, 3, 32, 32),)

class Made:
    half = lambda: (nn.Conv2d(3, 3, 1).eval().half(), (torch.rand(1, 3, 32, 32),))
    lazy = lambda: (nn.LazyConv2d(3, 1).eval(), (torch.rand(1, 3, 32, 32),))
    normed = lambda: (nn.utils.weight_norm(nn.Conv2d(3, 3, 1)).eval(), (torch.rand(1, 3, 9, 9),))
    ends = lambda: sys.exit(0)

for name in ("chance", "branch", "image"):
    setattr(Made, name, lambda name=name: (Net(name).eval(), (torch.rand(1, 3, 32, 32),)))
globals().update({name: value for name, value in vars(Made).items() if name[0] != "_"})
"""


@pytest.fixture
def habits(tmp_path: Path) -> Path:
    path = tmp_path / "my net.py"
    path.write_text(HABITS)
    return path


def test_two_processes_make_the_same_network(habits: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.py"
    again.write_text(HABITS)
    torch.rand(3)
    before = torch.random.get_rng_state()
    first = find_network(f"{habits}:build", {})
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    second = find_network(f"{again}:build", {})
    states = [network.load(None).state_dict() for network in (first, second)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert np.array_equal(first.calibration_photos()[0], second.calibration_photos()[0])


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("half", r"body|weight in torch.float16 \(call its float\(\)\)"),
        ("lazy", r"lazy parameters \(call it once\)"),
        ("normed", "cannot be copied .*remove weight_norm"),
        ("ends", r"ends the program \(exit code 0\): let it read no options"),
    ],
)
def test_a_module_that_cannot_be_taken(habits: Path, function: str, said: str) -> None:
    with pytest.raises(MqnetError, match=said):
        find_network(f"{habits}:{function}", {}).load(None)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("chance", r"draws random numbers \(randn_like\)"),
        ("branch", "depends on the values of a picture"),
        ("image", ""),
    ],
)
def test_what_cannot_be_exported(
    habits: Path, function: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    network = find_network(f"{habits}:{function}", {})
    wrapper = network.export_wrapper(network.load(None), torch.float32).eval()
    inputs = network.example_inputs(32, 32)
    capfd.readouterr()
    if said:
        with pytest.raises(MqnetError, match=said):
            export_network(network, wrapper, inputs)
    else:
        export_network(network, wrapper, inputs)
    out, err = capfd.readouterr()
    assert out == "" and "def forward" not in err
    assert said or err.count("a line of the user's") == 1


def test_a_build_names_its_network_also_where_a_file_is_called_as_another(tmp_path: Path) -> None:
    own = find_network(f"{tmp_path}/unet.py:build", {"head": "tail"})
    assert own.title == "unet" and built_network(own.title, own.parameters) == own
    assert built_network("mqnet", {}) == find_network("mqnet", {"attention": None})
    assert built_network("unet", {"divisor": "8"}).label == "unet-8th"
    with pytest.raises(MqnetError, match="unknown network 'vgg'"):
        built_network("vgg", {})


def test_several_heads(tmp_path: Path) -> None:
    (tmp_path / "stages.py").write_text(
        "import torch\n"
        "def build():\n"
        "    convs = [torch.nn.Conv2d(3, 3, 1) for _ in range(4)]\n"
        "    return torch.nn.Sequential(*convs).eval(), (torch.rand(1, 3, 8, 8),)\n"
    )
    network = find_network(f"{tmp_path}/stages.py:build", {"head": "1, 3"})
    wrapper = network.export_wrapper(network.load(None), torch.float32)
    graph = export_network(network, wrapper, network.example_inputs(8, 8)).graph
    parts = network.parts(graph)
    assert list(parts.values()) == ["backbone", "head"] * 2
    with pytest.raises(MqnetError, match="module '4': name one of 0, 1, 2, 3"):
        find_network(f"{tmp_path}/stages.py:build", {"head": "1,4"}).parts(graph)
