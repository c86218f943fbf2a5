"""Networks of the paper's comparison, small: integers throughout, bit for bit as in NumPy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import tvm
from lowered_backbones import photo_crop
from reference.backbone import run_backbone
from tir_walker import float_violations
from torch.export import ExportedProgram
from tvm import relax, tirx

from compile.artefact.describe_parts import describe_parts
from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from compile.networks.parts import module_path
from compile.networks.registry import network_named
from compile.pipeline import PipelineOptions, emit, plan_network
from compile.quantize import quantize
from compile.quantize.schemes import scheme_named
from targets.load_target import load_target

NETWORKS = ("unet", "unet++", "hdrunet", "fhdr", "expandnet", "hdrcnn", "masked-features")
#: Of channels.
DIVISOR = "8"
SIZE = (64, 96)
SIZES = {"masked-features": (128, 128)}
HEAD = "net.head"
OPTIONS = PipelineOptions(load_target("host"), 1, True, Path("no records"))

networks = pytest.mark.parametrize("name", NETWORKS)
schemes = pytest.mark.parametrize("scheme", ["int8", "mixed"])


def size_of(name: str) -> tuple[int, int]:
    return SIZES.get(name, SIZE)


@cache
def program(name: str, scheme: str) -> ExportedProgram:
    network = network_named(name, divisor=DIVISOR)
    photos = [read_photo(path) for path in bundled_photos("calibration")[:2]]
    with mock.patch.object(quantize, "CROPS", 2):
        return quantize.quantize_network(
            network, network.load(None), scheme_named(scheme), photos, *size_of(name)
        )


@cache
def planned(name: str, scheme: str) -> tvm.IRModule:
    return plan_network(program(name, scheme), OPTIONS)


@networks
@schemes
def test_backbone_is_that_of_numpy(name: str, scheme: str) -> None:
    image = photo_crop(bundled_photos("test")[0], *size_of(name))
    run = run_backbone(program(name, scheme), image)
    machine = relax.VirtualMachine(emit(planned(name, scheme), OPTIONS), tvm.cpu())
    found = machine["backbone"](tvm.runtime.tensor(image))
    for wanted, tensor in zip(
        run.boundary, found if len(run.boundary) > 1 else [found], strict=True
    ):
        expected = run.tensors[wanted]
        assert len(np.unique(expected)) > 32, "so flat a result would prove nothing"
        np.testing.assert_array_equal(tensor.numpy(), expected)


@networks
def test_backbone_holds_no_float(name: str) -> None:
    mod = planned(name, "int8")
    names = relax.analysis.all_global_vars(mod["backbone"])
    called = [mod[name] for name in names if isinstance(mod[name], tirx.PrimFunc)]
    assert len(called) > 10
    for kernel in called:
        assert not float_violations(kernel), kernel


@networks
def test_what_is_computed_in_integers(name: str) -> None:
    """All under int8, all but the head under mixed."""
    macs = {part.name: part.macs for part in describe_parts(planned(name, "int8"))}
    assert macs["head"] == 0 and macs["backbone"] == macs["main"] > 0
    macs = {part.name: part.macs for part in describe_parts(planned(name, "mixed"))}
    assert macs["head"] == head_macs(program(name, "mixed"))


@networks
def test_in_float_it_is_that_of_pytorch(name: str) -> None:
    image = photo_crop(bundled_photos("test")[0], *size_of(name))
    exported = program(name, "fp32")
    expected = exported.module()(torch.from_numpy(image)).detach().numpy()
    options = replace(OPTIONS, partition=False)
    planned = plan_network(exported, options)
    machine = relax.VirtualMachine(emit(planned, options), tvm.cpu())
    found = machine["main"](tvm.runtime.tensor(image)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def head_macs(exported: ExportedProgram) -> int:
    """Multiplications of the convolutions below the module ``head``."""
    macs = 0
    for node in exported.graph.nodes:
        if node.target is torch.ops.aten.conv2d.default and module_path(node).startswith(HEAD):
            macs += node.meta["val"].numel() * node.args[1].meta["val"][0].numel()
    return macs
