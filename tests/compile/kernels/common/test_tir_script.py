"""Functions of TVMScript are parsed to what TVM's own decorator gives, by less."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import pytest
import tvm
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


def _by_us_with_stars(shape: Sequence[int], **how: int) -> tirx.PrimFunc:
    strides = [shape[1], 1]

    @tir_script.prim_func(private=True, s_tir=True)
    def filled(data: T.Buffer(shape, "int8", strides=strides, **how)) -> None:
        with T.sblock("root"):
            T.writes(data[0 : shape[0], 0 : shape[1]])
            for i, j in T.grid(*shape):
                with T.sblock("filled"):
                    vi, vj = T.axis.remap("SS", [i, j])
                    data[vi, vj] = T.int8(SCALE if shape[1] > 4 else -SCALE)

    return filled


def _by_tvm_with_stars(shape: Sequence[int], **how: int) -> tirx.PrimFunc:
    strides = [shape[1], 1]

    @T.prim_func(private=True, s_tir=True)
    def filled(data: T.Buffer(shape, "int8", strides=strides, **how)) -> None:
        with T.sblock("root"):
            T.writes(data[0 : shape[0], 0 : shape[1]])
            for i, j in T.grid(*shape):
                with T.sblock("filled"):
                    vi, vj = T.axis.remap("SS", [i, j])
                    data[vi, vj] = T.int8(SCALE if shape[1] > 4 else -SCALE)

    return filled


@pytest.mark.parametrize("shape", [(2, 3), (4, 5), (2, 3)])
def test_its_source_is_read_once_and_each_shape_is_its_own(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    how = {"offset_factor": shape[0]}
    assert_structural_equal(_by_us_with_stars(shape, **how), _by_tvm_with_stars(shape, **how))
    monkeypatch.setattr(inspect, "getsourcefile", None)
    monkeypatch.setattr(inspect, "findsource", None)
    _by_us_with_stars((shape[0], 7))


def test_a_mistake_is_shown_where_it_stands() -> None:
    with pytest.raises(tvm.error.DiagnosticError, match=r"(?s)Undefined variable: unknown.*= unk"):

        @tir_script.prim_func(private=True, s_tir=True)
        def wrong(data: T.Buffer((4,), "int8")) -> None:
            data[0] = unknown  # noqa: F821


def test_it_does_not_look_at_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "stack", None)
    assert isinstance(_by_us(8, "int8"), tirx.PrimFunc)
