"""Kernels' objects with names of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tvm.script import tirx as T

from compile.codegen.kernel_objects import compile_kernels
from compile.codegen.link.elf import read_symbols
from compile.codegen.standalone.object_symbols import own_prefix, rename_symbols, renamed
from compile.support.build_cache import NO_CACHE
from targets.describe_target import tvm_target
from targets.load_target import load_target


@T.prim_func(s_tir=True)
def twice(a: T.Buffer((67,), "float32"), b: T.Buffer((67,), "float32")):
    T.func_attr({"global_symbol": "twice"})
    for i in T.parallel(67):
        with T.sblock("twice"):
            x = T.axis.spatial(67, i)
            b[x] = a[x] * T.float32(2)


@pytest.mark.parametrize("target", ["host", "linux-arm64"])
def test_names_change_and_nothing_else(target: str, tmp_path: Path) -> None:
    content = compile_kernels({"twice": twice}, tvm_target(load_target(target)), NO_CACHE)["twice"]
    prefix = own_prefix([content])
    changed = rename_symbols(content, prefix)
    before, after = tmp_path / "before.o", tmp_path / "after.o"
    before.write_bytes(content)
    after.write_bytes(changed)
    old, new = read_symbols(before), read_symbols(after)
    assert {renamed(name, prefix) for name in old.defined} == new.defined
    assert {renamed(name, prefix) for name in old.undefined} == new.undefined
    assert f"{prefix}_twice" in new.defined and "__tvm_ffi_twice" in old.defined
    assert not [name for name in new.defined | new.undefined if "TVMFFI" in name]
    assert len(changed) == len(content)


def test_other_objects_have_another_prefix() -> None:
    prefixes = {own_prefix([b"a"]), own_prefix([b"b"]), own_prefix([b"a", b"b"])}
    assert len(prefixes) == 3
    assert all(prefix.isidentifier() and len(prefix) == 9 for prefix in prefixes)


def test_names_of_others_stay() -> None:
    assert renamed("expf", "k12345678") == "expf"
    assert renamed("__TVMBackendParallelLaunch", "k12345678") == "k12345678endParallelLaunch"
