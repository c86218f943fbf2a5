"""Which tensor of the program a call makes, by the nodes that calls are marked with."""

from __future__ import annotations

import numpy as np

from device.client.layers.match_tensors import Scale, match_tensors
from device.runtime.check_calls import CheckedCall
from device.runtime.reference_network import ReferenceCall

SHAPES = {
    1: ((1, 12, 4, 8), "float32"),
    2: ((1, 12, 4, 8), "float32"),
    3: ((1, 6, 4, 8), "int8"),
    4: ((1, 6), "int8"),
}


def call(
    place: int, nodes: tuple[int, ...], *results: tuple[tuple[int, ...], str]
) -> ReferenceCall:
    checked = CheckedCall(place, (), len(results), False)
    return ReferenceCall("kernel", (), checked, checked, nodes, results)


def test_calls():
    """A convolution with the sums of the norm behind it makes what the norm reads, and its sums are
    nothing of the program; what a later call goes on with is not made."""
    calls = [
        call(0, (1, 2), ((1, 4, 12, 8), "float32"), ((4, 2, 12), "float32")),
        call(1, (2,), ((2, 12), "float32")),
        call(2, (2, 3), ((1, 4, 8, 6), "int8")),
        call(3, (4,), ((1, 1, 1, 6), "int8")),
    ]
    found = match_tensors(calls, SHAPES)
    assert [(one.call.there.place, one.node, one.result) for one in found] == [
        (0, 1, 0),
        (2, 3, 0),
        (3, 4, 0),
    ]
    assert [one.axes for one in found] == [(0, 2, 1, 3), (0, 2, 3, 1), ()]
    value = np.arange(6 * 4 * 8).reshape(SHAPES[3][0]).astype(np.int8)
    assert np.array_equal(found[1].given(value), value.transpose(0, 2, 3, 1))


def test_another_type_is_another_tensor():
    """Sums in int32 are not yet what they are rounded to."""
    assert not match_tensors([call(0, (2,), ((1, 4, 8, 12), "int32"))], SHAPES)


def test_scale():
    scale = Scale(0.5, -3)
    assert scale.quantized(np.array([0.0, 0.26, 100.0, -100.0])).tolist() == [-3, -2, 127, -128]
    assert scale.real(np.array([-3, -2], np.int8)).tolist() == [0, 0.5]
    # From (-128.5 + 3) / 2 to (127.5 + 3) / 2.
    assert scale.saturated(np.array([-62.8, -62.7, 65.2, 65.3])) == 0.5
