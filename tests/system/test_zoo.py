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
from numpy.typing import NDArray
from reference.backbone import run_backbone
from tir_walker import float_violations
from torch.export import ExportedProgram
from tvm import relax, tirx

from compile.artefact.describe_parts import describe_parts
from compile.graph.parts import MAIN
from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from compile.networks.parts import module_path
from compile.networks.registry import network_named
from compile.pipeline import PipelineOptions, emit, partition_network, plan_network, plan_part
from compile.quantize import quantize
from compile.quantize.schemes import scheme_named
from targets.load_target import load_target

NETWORKS = ("unet", "unet++", "hdrunet", "fhdr", "expandnet", "hdrcnn", "masked-features")
NETWORKS += ("two-stage", "single-hdr")
#: Tensors that floats give to integers again: images between stages, one more where a picture is
#: quantized in two ways. Under ``int8`` only what comes out of a response curve.
STARTS = {
    ("two-stage", "mixed"): 1,
    ("single-hdr", "mixed"): 4,
    ("single-hdr", "int8"): 2,
}
#: Of channels.
DIVISOR = "8"
SIZE = (64, 96)
SIZES = {"masked-features": (128, 128)}
OPTIONS = PipelineOptions(load_target("host"), 1, True, Path("no records"))

networks = pytest.mark.parametrize("name", NETWORKS)
schemes = pytest.mark.parametrize("scheme", ["int8", "mixed"])


def size_of(name: str) -> tuple[int, int]:
    return SIZES.get(name, SIZE)


@cache
def program(name: str, scheme: str) -> ExportedProgram:
    network, size = network_named(name, divisor=DIVISOR), size_of(name)
    photos = [read_photo(path) for path in bundled_photos("calibration")[:2]]
    with mock.patch.object(quantize, "CROPS", 2):
        return quantize.quantize_network(
            network, network.load(None), scheme_named(scheme), photos, *size, crop=size
        )


@cache
def partitioned(name: str, scheme: str) -> tvm.IRModule:
    return partition_network(program(name, scheme), OPTIONS)


@cache
def planned(name: str, scheme: str) -> tvm.IRModule:
    return plan_part(partitioned(name, scheme), MAIN, OPTIONS)


@networks
@schemes
def test_backbones_are_those_of_numpy(name: str, scheme: str) -> None:
    """One by one: what a head gives to the next backbone is taken from there, since floats differ
    in their last bits."""
    image = photo_crop(bundled_photos("test")[0], *size_of(name))
    machine = relax.VirtualMachine(emit(planned(name, scheme), OPTIONS), tvm.cpu())
    parts = run_parts(partitioned(name, scheme)[MAIN], machine, image)
    found = [tensor for part in parts if part.startswith("backbone") for tensor in parts[part]]
    *heads, last = [parts[part] for part in parts if part.startswith("head")]
    starts = [tensor for head in heads for tensor in head if tensor.dtype == np.int8]
    assert len(starts) == STARTS.get((name, scheme), 0)
    run = run_backbone(program(name, scheme), image, starts=starts)
    for wanted, tensor in zip(run.boundary, found, strict=True):
        expected = run.tensors[wanted]
        few = min(32, expected.size // 2)
        assert len(np.unique(expected)) > few, "so flat a result would prove nothing"
        np.testing.assert_array_equal(tensor, expected)
    (whole,) = call(machine, "main", image)
    np.testing.assert_array_equal(last[0], whole)
    pytorch = program(name, scheme).module()(torch.from_numpy(image)).detach().numpy()
    # A number that is rounded to the next byte is seen, and that is all.
    assert np.sqrt(np.mean((whole - pytorch) ** 2)) < 0.01 * np.abs(pytorch).max()


def run_parts(
    main: relax.Function, machine: relax.VirtualMachine, image: NDArray[np.uint8]
) -> dict[str, list[NDArray]]:
    """The results of the parts that ``main`` calls."""
    results: dict[str, list[NDArray]] = {}
    values: dict[relax.Var, list[NDArray]] = {main.params[0]: [image]}
    for binding in main.body.blocks[0].bindings:
        value = binding.value
        if isinstance(value, relax.TupleGetItem):
            values[binding.var] = [values[value.tuple_value][value.index]]
            continue
        name = value.op.name_hint
        arguments = [array for argument in value.args for array in values[argument]]
        values[binding.var] = results[name] = call(machine, name, *arguments)
    return results


def call(machine: relax.VirtualMachine, name: str, *arguments: NDArray) -> list[NDArray]:
    found = machine[name](*map(tvm.runtime.tensor, arguments))
    found = [found] if isinstance(found, tvm.runtime.Tensor) else list(found)
    return [tensor.numpy() for tensor in found]


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
    assert sum(macs[part] for part in macs if part.startswith("backbone")) == macs["main"] > 0
    macs = {part.name: part.macs for part in describe_parts(planned(name, "mixed"))}
    in_heads = sum(macs[part] for part in macs if part.startswith("head"))
    assert in_heads == head_macs(program(name, "mixed"))


@networks
def test_in_float_it_is_that_of_pytorch(name: str) -> None:
    image = photo_crop(bundled_photos("test")[0], *size_of(name))
    exported = program(name, "fp32")
    expected = exported.module()(torch.from_numpy(image)).detach().numpy()
    options = replace(OPTIONS, partition=False)
    machine = relax.VirtualMachine(emit(plan_network(exported, options), options), tvm.cpu())
    found = machine["main"](tvm.runtime.tensor(image)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def head_macs(exported: ExportedProgram) -> int:
    """Multiplications of the convolutions below the modules ``head``."""
    macs = 0
    for node in exported.graph.nodes:
        if node.target is torch.ops.aten.conv2d.default and is_head(module_path(node)):
            macs += node.meta["val"].numel() * node.args[1].meta["val"][0].numel()
    return macs


def is_head(path: str) -> bool:
    """Whether a module is in the head of the network or of one of its stages."""
    return "head" in path.split(".")
