"""Where the numbers of reshaped and permuted tensors come from, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_draws import draws, seeds
from kernel_runner import UNITS, built_kernel
from numpy.typing import NDArray

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.rearrangement import (
    Cut,
    Rearrangement,
    create_cut,
    create_rearrangement,
)
from compile.kernels.cpu.plain.move import create_channel_shuffle

cores = pytest.mark.parametrize("core", UNITS, ids=lambda u: f"{u.bits}x{u.registers}t{u.threads}")


def sources(arranged: Rearrangement) -> NDArray[np.int64]:
    """The place in the operand of each number of the result, from the factors alone."""
    strides = np.cumprod((1, *arranged.shape[:0:-1]))[::-1]
    place = np.zeros((), np.int64)
    for axis in arranged.axes:
        along = np.zeros((), np.int64)
        for factor in axis:
            steps = np.arange(factor.extent) * factor.stride * strides[factor.axis]
            along = along[..., None] + steps
        place = place[..., None] + along.ravel()
    return place


@given(data=st.data())
def test_factors_say_where_numbers_come_from(data: st.DataObject) -> None:
    extents = st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=5)
    shape = tuple(data.draw(extents))
    arranged, expected = Rearrangement.of(shape), np.arange(np.prod(shape)).reshape(shape)
    for _ in range(3):
        order = data.draw(st.permutations(range(expected.ndim)))
        arranged, expected = arranged.permuted(order), expected.transpose(order)
        merged = list(expected.shape)
        at = data.draw(st.integers(0, len(merged) - 1))
        merged[at : at + 2] = [int(np.prod(merged[at : at + 2]))]
        divisors = [n for n in range(1, merged[at] + 1) if merged[at] % n == 0]
        first = data.draw(st.sampled_from(divisors))
        merged[at : at + 1] = [first, merged[at] // first]
        again = arranged.reshaped(tuple(merged))
        if again is None:
            break  # It cuts through a factor.
        arranged, expected = again, expected.reshape(merged)
    assert arranged.result_shape == expected.shape
    np.testing.assert_array_equal(sources(arranged), expected)


def test_reshape_through_a_factor_is_not_taken() -> None:
    assert Rearrangement.of((4, 6)).permuted([1, 0]).reshaped((4, 6)) is None
    assert Rearrangement.of((4, 6)).reshaped((2, 12)) is not None


def test_a_shuffle_of_channels_is_seen() -> None:
    shape = (1, 5, 7, 12)
    planes = Rearrangement.of(shape).permuted([0, 3, 1, 2]).reshaped((1, 3, 4, 5, 7))
    shuffled = planes.permuted([0, 2, 1, 3, 4]).reshaped((1, 12, 5, 7)).permuted([0, 2, 3, 1])
    assert shuffled.groups == 3
    assert planes.reshaped((1, 12, 5, 7)).permuted([0, 2, 3, 1]).groups is None
    assert Rearrangement.of(shape).groups is None


@cores
@pytest.mark.parametrize(("channels", "groups"), [(12, 3), (116, 2), (5, 5), (64, 2), (26, 2)])
@given(seed=seeds)
@draws
def test_channel_shuffle(core: CpuCore, channels: int, groups: int, seed: int) -> None:
    shape = (1, 7, 11, channels)
    data = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
    found = built_kernel(core, create_channel_shuffle, shape, groups, "int8")(data)
    expected = data.reshape(7, 11, groups, -1).swapaxes(2, 3).reshape(shape)
    np.testing.assert_array_equal(found, expected)


@cores
@given(seed=seeds)
@draws
def test_planes_of_a_feature_map(core: CpuCore, seed: int) -> None:
    """What a dense layer behind a feature map reads."""
    shape = (1, 5, 7, 13)
    flat = Rearrangement.of(shape).permuted([0, 3, 1, 2]).reshaped((1, 455))
    data = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
    found = built_kernel(core, create_rearrangement, "elementwise", flat, "int8")(data)
    np.testing.assert_array_equal(found, data.transpose(0, 3, 1, 2).reshape(1, -1))


CUTS = [
    (Cut((0, 0, 0, 5), (1, 1, 1, 1), (1, 7, 11, 8)), np.s_[:, :, :, 5:13]),
    (Cut((0, 1, 2, 0), (1, 2, 3, 1), (1, 3, 3, 13)), np.s_[:, 1:7:2, 2:11:3]),
    (Cut((0, 0, 0, 1), (1, 1, 1, 4), (1, 7, 11, 3)), np.s_[..., 1::4]),
]


@cores
@pytest.mark.parametrize(("cut", "index"), CUTS, ids=["channels", "pixels", "every fourth"])
@given(seed=seeds)
@draws
def test_slices(core: CpuCore, cut: Cut, index: tuple, seed: int) -> None:
    data = np.random.default_rng(seed).integers(-128, 128, (1, 7, 11, 13)).astype(np.int8)
    found = built_kernel(core, create_cut, "elementwise", data.shape, cut, "int8")(data)
    np.testing.assert_array_equal(found, data[index])
