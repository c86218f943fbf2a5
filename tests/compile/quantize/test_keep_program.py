"""A program from the build cache is the one that calibration gives, at every size."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import tvm
from torch import nn
from torch.export import ExportedProgram

from compile import build_network as building
from compile.build_request import BuildRequest
from compile.frontend.import_program import import_program
from compile.networks.registry import network_named
from compile.quantize import keep_program
from compile.quantize.export_network import export_network
from compile.quantize.keep_program import program_key
from compile.quantize.schemes import scheme_named
from compile.support.build_cache import BuildCache
from compile.support.errors import GraphError


def imported(mod: tvm.IRModule) -> str:
    """All of a module, layers and constants included."""
    return tvm.ir.save_json(mod)


@pytest.mark.parametrize("scheme", ["w8a32", "mixed"])
@pytest.mark.parametrize("size", [(64, 96), (96, 32)])
def test_program_is_the_same(
    scheme: str,
    size: tuple[int, int],
    tmp_path: Path,
    quantized_program: Callable[..., ExportedProgram],
) -> None:
    """Kept at one size, found at the same and at another one, as if it were traced there."""
    network, cache = network_named("mqnet"), BuildCache(tmp_path / "cache")
    key, inputs = "a key", network.example_inputs(*size)
    program = quantized_program(scheme)
    keep_program.keep_program(cache, key, program)
    found = keep_program.find_program(cache, key, network, inputs)
    module = program.module(check_guards=False)
    module._forward_pre_hooks.clear()
    module._forward_pre_hooks_with_kwargs.clear()
    expected = export_network(network, module, inputs)
    assert imported(import_program(found)) == imported(import_program(expected))
    assert torch.equal(found.module()(*inputs), expected.module()(*inputs))


def test_a_size_that_it_does_not_take_is_said(
    tmp_path: Path, quantized_program: Callable[..., ExportedProgram]
) -> None:
    network, cache = network_named("mqnet"), BuildCache(tmp_path / "cache")
    keep_program.keep_program(cache, "a key", quantized_program("w8a32"))
    with pytest.raises(GraphError, match="network mqnet cannot be exported for 50x50: Sizes of"):
        keep_program.find_program(cache, "a key", network, network.example_inputs(50, 50))


def test_nothing_is_calibrated_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = BuildCache(tmp_path / "cache")
    request = BuildRequest("host", "w8a32", size=(32, 32))
    first = building.quantized_program(request, cache)
    monkeypatch.setattr(
        "compile.quantize.quantize.quantize_network", lambda *_: pytest.fail("again")
    )
    again = building.quantized_program(request, cache)
    assert imported(import_program(first)) == imported(import_program(again))


def test_what_has_another_key(tmp_path: Path) -> None:
    mqnet, mixed, net = network_named("mqnet"), scheme_named("mixed"), nn.Identity()
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"weights")
    other.write_bytes(b"other weights")
    keys = {
        program_key(mqnet, mixed, one, net),
        program_key(mqnet, mixed, other, net),
        program_key(mqnet, mixed, one, net, (64, 96)),
        program_key(mqnet, scheme_named("int8"), one, net),
        program_key(network_named("mqnet", attention="sa"), mixed, one, net),
    }
    assert len(keys) == 5
    assert program_key(mqnet, mixed, one, net) in keys


def test_module_without_a_file_has_the_key_of_what_it_computes() -> None:
    unet, mixed = network_named("unet", divisor="16"), scheme_named("mixed")
    net, same, other = (unet.load(None) for _ in range(3))
    with torch.no_grad():
        other.head[0].bias += 1
    without = copy.deepcopy(net)
    without.head[1] = nn.Identity()
    keys = [program_key(unet, mixed, None, each) for each in (net, same, other, without)]
    assert keys[0] == keys[1] and len(set(keys)) == 3
