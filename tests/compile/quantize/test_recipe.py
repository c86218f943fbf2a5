"""Rules on top of a scheme: what they are of, and what is wrong with a file of some."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from compile.networks.seeded_network import SeededNetwork
from compile.quantize.quantize import quantize_network
from compile.quantize.recipe import matches, read_recipe
from compile.quantize.schemes import Calibration, KnownRange, Precision, Rule, scheme_named
from compile.support.errors import MqnetError

MIXED = """
[[rule]]
modules = "head"
precision = "weight-only"
"""


class Stages(nn.Module):
    """Two convolutions in a backbone, one in a head, one that is not called."""

    SIZE_MULTIPLE: ClassVar[int] = 1
    LEAST_SIDE: ClassVar[int] = 1

    def __init__(self, _divisor: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.head = nn.Conv2d(8, 3, 1)
        self.of_training = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.head(torch.tanh(self.backbone(x))))


@dataclass(frozen=True)
class StagesEntry(SeededNetwork):
    name: ClassVar[str] = "stages"
    module: ClassVar = Stages


def quantized(path: Path, text: str) -> ExportedProgram:
    path.write_text(text)
    network, photo = StagesEntry(), np.full((256, 256, 3), 99, np.uint8)
    photo[::2] = 12
    return quantize_network(network, network.load(None), read_recipe(path), [photo], 16, 16)


def text_of(program: ExportedProgram) -> str:
    return str(program.graph)


def test_a_recipe_can_say_what_a_scheme_says(tmp_path: Path) -> None:
    # What is in no module but the network has the scheme's precision.
    rest = '\n[[rule]]\noperations = ["tanh", "sigmoid"]\nprecision = "float"\n'
    by_rule = quantized(tmp_path / "r.toml", 'scheme = "int8"\n' + MIXED + rest)
    assert text_of(by_rule) == text_of(quantized(tmp_path / "m.toml", ""))


def test_the_last_rule_holds(tmp_path: Path) -> None:
    rules = """
    scheme = "int8"
    [[rule]]
    modules = "backbone.*"
    precision = "float"
    [[rule]]
    modules = "backbone.2"
    operations = ["conv2d"]
    precision = "weight-only"
    """
    program = quantized(tmp_path / "r.toml", rules)
    int8 = {name for name, tensor in program.state_dict.items() if tensor.dtype is torch.int8}
    assert int8 == {"net.backbone.2.weight", "net.head.weight"}


def test_a_range_that_is_known(tmp_path: Path) -> None:
    known = 'scheme = "int8"\n[[range]]\nmodule = "head"\nscale = 0.5\nzero_point = 7\n'
    program = quantized(tmp_path / "r.toml", known)
    assert "(%conv2d_2, 0.5, 7, -128, 127, torch.int8)" in text_of(program)


def test_a_range_of_nothing(tmp_path: Path) -> None:
    """Also that of a convolution before its activation, whose result is never int8."""
    for module in ("tail", "backbone.0", "*"):
        text = f'scheme = "int8"\n[[range]]\nmodule = "{module}"\nscale = 0.5\nzero_point = 7\n'
        said = f"range of module .{re.escape(module)}. is of nothing: .* here backbone.2, head$"
        with pytest.raises(MqnetError, match=said):
            quantized(tmp_path / "r.toml", text)


def test_a_rule_of_nothing(tmp_path: Path) -> None:
    for rule, said in (
        ('modules = "tail"', r"rule 1 .*modules 'tail'.* has modules backbone.0, .* head"),
        ('modules = "head"\noperations = ["softmax"]', r"operations .'softmax'.* conv2d"),
    ):
        with pytest.raises(MqnetError, match=said):
            quantized(tmp_path / "r.toml", f'[[rule]]\n{rule}\nprecision = "float"\n')


@pytest.mark.parametrize("precision", ["float", "weight-only"])
def test_rules_that_leave_nothing_in_int8(tmp_path: Path, precision: str) -> None:
    said = "leaves no operation of scheme mixed in int8: take a rule out, or .* fp32 or w8a32"
    with pytest.raises(MqnetError, match=said):
        quantized(tmp_path / "r.toml", f'[[rule]]\nprecision = "{precision}"\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]]", "missing required field `precision`"),
        ('[[rule]]\nprecision = "int4"', "Invalid enum value 'int4'"),
        ('[[rule]]\nprecision = "int8"\nmodule = "a"', "unknown field `module`"),
        ('scheme = "int2"', "Invalid enum value 'int2'"),
        ("scheme = ", "recipe .*r.toml is wrong: Invalid value"),
        ('[[range]]\nmodule = "a"\nscale = -1.0\nzero_point = 0', "number above 0"),
        ('[[range]]\nmodule = "a"\nscale = inf\nzero_point = 0', "number above 0"),
        ('[[range]]\nmodule = "a"\nscale = nan\nzero_point = 0', "number above 0"),
        (
            'scheme = "w8a32"\n[[range]]\nmodule = "a"\nscale = 1.0\nzero_point = 0',
            "gives ranges, and nothing in it is int8",
        ),
        ('[[range]]\nmodule = "a"\nscale = 1.0\nzero_point = 200', "zero point from -128 to"),
        ('[calibration]\nmethod = "best"', "Invalid enum value 'best'"),
        ("[calibration]\npercentile = 0.999", "has percentile 0.999: give a number above 50"),
        ('scheme = "fp32"\n[calibration]\nequalize = true', "and nothing in it is int8"),
        ("\xff", "is wrong"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.toml").write_text(text, encoding="latin-1")
    with pytest.raises(MqnetError, match=said):
        read_recipe(tmp_path / "r.toml")
    with pytest.raises(MqnetError, match="none.toml cannot be read: No such file"):
        read_recipe(tmp_path / "none.toml")


def test_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(MIXED + '[[range]]\nmodule = "a.b"\nscale = 0.25\nzero_point = -3\n')
    rules = (Rule("head", (), Precision.WEIGHT_ONLY_INT8),)
    ranges = (KnownRange("a.b", 0.25, -3),)
    assert read_recipe(path) == replace(scheme_named("mixed"), rules=rules, ranges=ranges)


def test_a_calibration(tmp_path: Path) -> None:
    """It is what is read, and it changes scales, biases and weights, each by itself."""
    path = tmp_path / "r.toml"
    path.write_text('[calibration]\nmethod = "percentile"\npercentile = 99.9\nequalize = true\n')
    wanted = Calibration("percentile", 99.9, equalize=True)
    assert read_recipe(path) == replace(scheme_named("mixed"), calibration=wanted)
    usual = quantized(path, "")
    assert text_of(usual) == text_of(quantized(path, '[calibration]\nmethod = "histogram"'))
    for more in ('method = "percentile"\npercentile = 60', 'method = "mse"', 'method = "entropy"'):
        assert text_of(quantized(path, f"[calibration]\n{more}")) != text_of(usual)
    corrected = quantized(path, "[calibration]\ncorrect_bias = true")
    assert text_of(corrected) == text_of(usual)
    biases = [one.state_dict["net.backbone.0.bias"] for one in (usual, corrected)]
    assert not torch.equal(*biases)
    equalized = quantized(path, "[calibration]\nequalize = true")
    weights = [one.state_dict["net.backbone.2.weight"] for one in (usual, equalized)]
    assert not torch.equal(*weights)


@pytest.mark.parametrize(
    ("modules", "operations", "path", "operation", "is_of"),
    [
        ("", (), "a.b", "conv2d", True),
        ("a", (), "a.b", "conv2d", True),
        ("a.b", (), "a", "conv2d", False),
        ("a.*.c", (), "a.b.c.d", "conv2d", True),
        ("stage?", (), "stage1.x", "conv2d", True),
        ("a", ("softmax",), "a.b", "conv2d", False),
        ("", ("softmax", "conv2d"), "x", "conv2d", True),
    ],
)
def test_patterns(
    modules: str, operations: tuple[str, ...], path: str, operation: str, is_of: bool
) -> None:
    assert matches(Rule(modules, operations, Precision.FLOAT), path, operation) == is_of
