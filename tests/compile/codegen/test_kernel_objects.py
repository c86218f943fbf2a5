"""Kernels one by one: the same results as from one module, and nothing is compiled twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_net
import tvm
from tvm import relax, tirx

from compile.codegen import kernel_objects
from compile.codegen.kernel_objects import (
    EmittedCode,
    compile_kernels,
    compiling,
    emit_objects,
)
from compile.codegen.link.elf import read_symbols
from compile.codegen.link.link import ExportLinker
from compile.passes.plan_memory import lower_to_vm, plan_memory
from compile.support.build_cache import NO_CACHE, BuildCache
from targets.describe_target import tvm_target
from targets.load_target import load_target

SPEC = load_target("host")
TARGET = tvm_target(SPEC, 1)


@pytest.fixture(scope="module")
def planned() -> tvm.IRModule:
    return plan_memory()(small_net.small_module())


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels that are compiled from now on."""
    names = []

    def build(mod: tvm.IRModule, target: tvm.target.Target, pipeline: str) -> tvm.runtime.Module:
        names.extend(name.name_hint for name in mod.get_global_vars())
        return tirx.build(mod, target, pipeline)

    monkeypatch.setattr(kernel_objects, "build_kernel", build)
    return names


def run(library: Path) -> list[np.ndarray]:
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())
    data = tvm.runtime.tensor(small_net.make_input())
    return [
        *(result.numpy() for result in machine["main"](data)),
        machine["head"](data, data).numpy(),
    ]


def test_the_library_computes_the_same(planned: tvm.IRModule, tmp_path: Path) -> None:
    linker = ExportLinker(SPEC)
    whole = relax.build(planned, TARGET, relax_pipeline=lower_to_vm())
    EmittedCode(whole).export(tmp_path / "whole.so", linker)
    code = emit_objects(planned, TARGET, NO_CACHE)
    assert len(code.objects) > 2
    code.export(tmp_path / "objects.so", linker)
    for expected, found in zip(
        run(tmp_path / "whole.so"), run(tmp_path / "objects.so"), strict=True
    ):
        np.testing.assert_array_equal(expected, found)


def test_every_kernel_has_its_object(planned: tvm.IRModule, tmp_path: Path) -> None:
    for name, content in emit_objects(planned, TARGET, NO_CACHE).objects.items():
        path = tmp_path / f"{name}.o"
        path.write_bytes(content)
        assert f"__tvm_ffi_{name}" in read_symbols(path).defined


def test_nothing_is_compiled_twice(
    planned: tvm.IRModule, tmp_path: Path, compiled: list[str]
) -> None:
    cache = BuildCache(tmp_path / "cache")
    first = emit_objects(planned, TARGET, cache).objects
    assert sorted(compiled) == sorted(first)
    assert emit_objects(planned, TARGET, BuildCache(tmp_path / "cache")).objects == first
    assert len(compiled) == len(first)


def test_what_has_begun_is_not_compiled_again(planned: tvm.IRModule, compiled: list[str]) -> None:
    """Nor is another function taken for it."""
    with compiling(TARGET, NO_CACHE) as compiler:
        for name, function in planned.functions_items():
            if isinstance(function, tirx.PrimFunc):
                compiler.begin(name.name_hint, function)
        code = emit_objects(planned, TARGET, NO_CACHE, compiler)
        assert sorted(compiled) == sorted(code.objects)
        (one,), (other,) = scaled(2.0).values(), scaled(3.0).values()
        found = [compiler.begin("scale", each).result() for each in (one, other, one)]
    assert found[0] == found[2] != found[1]


def scaled(factor: float) -> dict[str, tirx.PrimFunc]:
    tensor = tvm.te.placeholder((16,), "float32", name="tensor")
    result = tvm.te.compute((16,), lambda i: tensor[i] * factor, name="result")
    function = tvm.te.create_prim_func([tensor, result]).with_attr("global_symbol", "scale")
    return {"scale": function}


def test_another_kernel_or_target_is_compiled_anew(tmp_path: Path, compiled: list[str]) -> None:
    cache = BuildCache(tmp_path / "cache")
    other = tvm_target(load_target("cortex-a76"), 1)
    for factor, target in ((2.0, TARGET), (3.0, TARGET), (2.0, other), (2.0, TARGET)):
        compile_kernels(scaled(factor), target, cache)
    assert compiled == ["scale"] * 3
