"""Functions of TVMScript are parsed to what TVM's own decorator gives, by less."""

from __future__ import annotations

import inspect

import pytest
from tvm import tirx
from tvm.ir import assert_structural_equal
from tvm.script import tirx as T

from compile.kernels.common import tir_script

SCALE = 3


def _by_tvm(extent: int, dtype: str) -> tirx.PrimFunc:
    offset = 5

    @T.prim_func(private=True, s_tir=True)
    def scaled(data: T.Buffer((extent,), dtype), out: T.Buffer((extent,), dtype)) -> None:
        for i in T.serial(extent):
            with T.sblock("scaled"):
                vi = T.axis.spatial(extent, i)
                out[vi] = data[vi] * SCALE + offset

    return scaled


def _by_us(extent: int, dtype: str) -> tirx.PrimFunc:
    offset = 5

    @tir_script.prim_func(private=True, s_tir=True)
    def scaled(data: T.Buffer((extent,), dtype), out: T.Buffer((extent,), dtype)) -> None:
        for i in T.serial(extent):
            with T.sblock("scaled"):
                vi = T.axis.spatial(extent, i)
                out[vi] = data[vi] * SCALE + offset

    return scaled


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_it_is_the_same_function(dtype: str) -> None:
    """Variables of the module, of the function around it, and one that only annotations name."""
    ours, theirs = _by_us(7, dtype), _by_tvm(7, dtype)
    assert_structural_equal(ours, theirs)


def test_it_does_not_look_at_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "stack", None)
    assert isinstance(_by_us(8, "int8"), tirx.PrimFunc)
