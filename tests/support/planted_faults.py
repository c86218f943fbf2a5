"""Plants faults of a compiler in single calls of a build, in memory: the library stays the same.

Behind it a call computes what it would have computed had its constants been packed wrong, or its
window begun one row too low.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray

from compile.artefact.reader import Artefact
from compile.support.outcome import Outcome
from device.client.check_request import CheckRequest
from device.runtime.artefact_device import network_layout
from device.runtime.check_calls import check_calls
from device.runtime.reference_network import ReferenceCall
from device.runtime.tvm_network import Observer, TvmNetwork

Fault = Callable[[ReferenceCall, Sequence[Any]], tuple[int, NDArray[Any]]]
"""Of a call and its arguments: the number of the one that is wrong, and what it is instead."""


class FaultyMachine:
    """Runs a build in this process, whose ``call`` has a ``fault``, where one is set."""

    name = "this process"

    def __init__(self, artefact: Artefact) -> None:
        self._network = _Network(artefact.library.parent, network_layout(artefact))
        self._network.kernels = {call.kernel for call in artefact.manifest.calls}

    def plant(self, call: ReferenceCall | None, fault: Fault | None) -> None:
        self._network.planted = None if call is None or fault is None else (call, fault)

    def facts(self, request: CheckRequest, whole: Collection[int]) -> Outcome:
        self._network.set_inputs(request.inputs)
        calls = request.kernels, request.calls, request.given
        return Outcome(check_calls(self._network, *calls, whole, reads=request.reads))

    def reached(self) -> int:
        return -1


class _Network(TvmNetwork):
    planted: tuple[ReferenceCall, Fault] | None = None
    kernels: Collection[str] = ()

    def run_observed(self, observe: Observer) -> None:
        place, before = -1, None

        def planting(
            name: str, is_before: bool, device: tvm.runtime.Device, arguments: Sequence[Any]
        ) -> None:
            nonlocal place, before
            place += is_before and name in self.kernels
            is_here = self.planted is not None and name in self.kernels
            if is_here and place == self.planted[0].there.place:
                if is_before:
                    number, wrong = self.planted[1](self.planted[0], arguments)
                    right = arguments[number].numpy().copy()
                    assert not np.array_equal(right, wrong)
                    before = arguments[number], right
                    arguments[number].copyfrom(wrong)
                else:
                    # A constant is read by other calls and frames, a tensor by the next call.
                    before[0].copyfrom(before[1])
            observe(name, is_before, device, arguments)

        super().run_observed(planting)


def wrong_scale(call: ReferenceCall, arguments: Sequence[Any]) -> tuple[int, NDArray[Any]]:
    """The scale of a tensor is a quarter too large."""
    number, multiplier = _constant(call, arguments, lambda one: one.dtype == np.float32)
    return number, multiplier * np.float32(1.25)


def transposed_weight(call: ReferenceCall, arguments: Sequence[Any]) -> tuple[int, NDArray[Any]]:
    """Rows are taken for columns."""
    number, weight = _constant(call, arguments, lambda one: one.dtype.itemsize < 4)
    return number, np.ascontiguousarray(weight.T).reshape(weight.shape)


def clipped_bias(call: ReferenceCall, arguments: Sequence[Any]) -> tuple[int, NDArray[Any]]:
    """A bias does not fit the type that it is held in for a while."""
    number, bias = _constant(call, arguments, lambda one: one.dtype == np.int32)
    most = int(np.median(np.abs(bias)))  # The largest are of channels that are always 0.
    return number, np.clip(bias, -most, most)


def shifted_window(call: ReferenceCall, arguments: Sequence[Any]) -> tuple[int, NDArray[Any]]:
    """The padding above is one row less, and one more below."""
    data = arguments[0].numpy()
    shifted = np.roll(data, -1, 1)
    shifted[:, -1] = data[:, -1:].min()
    return 0, shifted


def _constant(
    call: ReferenceCall, arguments: Sequence[Any], is_it: Callable[[NDArray[Any]], bool]
) -> tuple[int, NDArray[Any]]:
    """The largest of the constants that ``is_it``."""
    constants = [(number, arguments[number].numpy()) for number in call.there.constants]
    return max((one for one in constants if is_it(one[1])), key=lambda one: one[1].size)
