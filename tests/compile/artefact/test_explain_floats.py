"""Operations that a scheme wants in int8 and that are in float are named, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compile.artefact.describe_coverage import describe_coverage
from compile.artefact.explain_floats import explain_floats, list_not_lowered
from compile.artefact.list_calls import list_calls
from compile.artefact.manifest import Coverage, FloatOperation
from compile.artefact.show_build import describe_floats
from compile.networks.seeded_network import SeededNetwork
from compile.pipeline import PipelineOptions, partition_network, plan_part
from compile.quantize.quantize import quantize_network
from compile.quantize.schemes import scheme_named
from targets.load_target import load_target

OPTIONS = PipelineOptions(load_target("host"), 1, True, Path("no records"))


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.first(x).relu())
        waves = torch.sin(y)
        return self.drop(self.second(waves / (y * y + 1.0))).relu()


class Tail(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(8, 3, 1)

    def forward(self, y: Tensor) -> Tensor:
        return torch.sin(self.last(y))


class Net(nn.Module):
    SIZE_MULTIPLE: ClassVar[int] = 1
    LEAST_SIDE: ClassVar[int] = 1

    def __init__(self, _divisor: int) -> None:
        super().__init__()
        self.backbone, self.head = Body(), Tail()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


@dataclass(frozen=True)
class Entry(SeededNetwork):
    name: ClassVar[str] = "floats"
    module: ClassVar = Net


NO_KERNEL = "it has no integer kernel"
IN_BODY = (
    FloatOperation("net.backbone", "sin", NO_KERNEL),
    FloatOperation("net.backbone", "div", "a quotient of two tensors has no integer kernel"),
    FloatOperation("net.backbone.norm", "instance_norm", "nn.instance_norm has no integer kernel"),
)
IN_TAIL = FloatOperation("net.head", "sin", NO_KERNEL)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("int8", (*IN_BODY[:2], IN_TAIL, IN_BODY[2])),
        # Under mixed the head is wanted in float.
        ("mixed", IN_BODY),
        ("w8a32", ()),
    ],
)
def test_each_is_named_once(scheme: str, expected: tuple[FloatOperation, ...]) -> None:
    network, photo = Entry(), np.full((256, 256, 3), 99, np.uint8)
    program = quantize_network(network, network.load(None), scheme_named(scheme), [photo], 16, 16)
    if scheme == "w8a32":
        assert explain_floats(program, network, scheme_named(scheme), (), ()) == ()
        return
    partitioned = partition_network(program, OPTIONS)
    planned = plan_part(partitioned, "main", OPTIONS)
    coverage = describe_coverage([planned], [list_calls(planned)])
    found = explain_floats(
        program,
        network,
        scheme_named(scheme),
        list_not_lowered(partitioned),
        coverage.float_layers,
    )
    assert found == expected


def test_few_lines_are_shown() -> None:
    operations = tuple(FloatOperation(f"net.{i}", "softmax", NO_KERNEL) for i in range(7))
    lines = describe_floats(Coverage(1, 2, 3, 4, (), operations))
    assert lines[0] == "in float: net.0 (softmax): it has no integer kernel"
    assert lines[-1] == "in float: 2 more (--json lists all)" and len(lines) == 6
    assert describe_floats(Coverage(1, 2, 3, 4, (), operations[:5])) == [
        f"in float: net.{i} (softmax): it has no integer kernel" for i in range(5)
    ]
    assert describe_floats(Coverage(1, 2, 3, 4, ())) == []
