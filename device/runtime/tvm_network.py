"""A network of our own from its libraries, on the devices of the machine that this runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.graph.parts import BACKBONE, COPY, HEAD, INPUT
from compile.support.errors import ArtefactError
from compile.support.frame import Frame
from device.runtime.tvm_runtime import (
    PROCESSOR,
    Device,
    Tensor,
    copy_tensor,
    device_named,
    empty,
    load_machine,
    synchronize,
    to_array,
    to_device,
)

#: Called before and after every call of the virtual machine, with its name, whether it is before,
#: the device that computes it, and its arguments, output included.
Observer = Callable[[str, bool, Device, Sequence[Any]], None]

# VMInstrumentReturnKind: make the call that was announced.
_GO_ON = 0


class TvmNetwork:
    """The network in one library, or backbone and head in one each for two devices."""

    def __init__(self, folder: Path, layout: Mapping[str, Any]) -> None:
        """Load what ``layout`` (:func:`device.runtime.artefact_device.network_layout`) names in
        ``folder``.

        Raises:
            ArtefactError: a library does not load.
        """
        self._parts = {
            name: LoadedPart(folder / library, device_named(kind))
            for name, (library, kind) in layout["parts"].items()
        }
        self._head_arguments = layout["head_arguments"]

    def set_inputs(self, frame: Frame) -> None:
        """Take the network's inputs to the device of each part."""
        self._inputs = {
            name: [part.tensor(np.asarray(tensor, order="C")) for tensor in frame]
            for name, part in self._parts.items()
        }

    def run(self) -> None:
        """Compute one frame, with what is copied between two devices; the last one has done it.

        Raises:
            ArtefactError: a GPU refuses: a kernel does not compile, or its memory is full.
        """
        try:
            self._run(lambda *_: None)
        except RuntimeError as error:
            if all(part.device == PROCESSOR for part in self._parts.values()):
                raise
            raise ArtefactError(str(error).strip()) from None

    def outputs(self) -> Frame:
        """Those of the last frame."""
        return tuple(map(to_array, self._outputs))

    def run_observed(self, observe: Observer) -> None:
        """One frame under the eyes of ``observe``. Behind each call the device has done it. A copy
        from one device to another is called :data:`COPY`, and has its source and its result; the
        processor makes it."""
        for part in self._parts.values():
            part.observe(observe)
        try:
            self._run(observe)
        finally:
            for part in self._parts.values():
                part.observe(None)

    def run_part(self, name: str, *inputs: NDArray) -> list[NDArray]:
        """The results of function ``name`` ("backbone", "head" or, of one that is not split,
        "main") of the library."""
        part = self._parts.get(name) or self._parts["main"]
        return [to_array(tensor) for tensor in part.run(name, *map(part.tensor, inputs))]

    def _run(self, observe: Observer) -> None:
        if "main" in self._parts:
            last = self._parts["main"]
            self._outputs = last.run("main", *self._inputs["main"])
        else:
            last = self._parts[HEAD]
            self._outputs = last.run(HEAD, *self._cross(observe))
        # A GPU has only been told what to do.
        synchronize(last.device)

    def _cross(self, observe: Observer) -> list[Tensor]:
        """What the head takes: results of the backbone, copied to its device, and the input."""
        backbone, head = self._parts[BACKBONE], self._parts[HEAD]
        results = backbone.run(BACKBONE, *self._inputs[BACKBONE])
        synchronize(backbone.device)
        arguments = []
        for origin in self._head_arguments:
            if origin == INPUT:
                arguments += self._inputs[HEAD]
                continue
            there = empty(results[origin].shape, results[origin].dtype, head.device)
            observe(COPY, True, PROCESSOR, (results[origin], there))
            copy_tensor(results[origin], there)
            synchronize(head.device)
            observe(COPY, False, PROCESSOR, (results[origin], there))
            arguments.append(there)
        return arguments


class LoadedPart:
    """A library of functions, on one device.

    Raises:
        ArtefactError: it does not load.
    """

    def __init__(self, library: Path, device: Device) -> None:
        self.device = device
        try:
            self._machine = load_machine(library, device)
        except (RuntimeError, OSError, AttributeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise ArtefactError(f"{library} does not load ({reason}): build it again") from None

    def tensor(self, array: NDArray) -> Tensor:
        """``array`` on the device."""
        return to_device(array, self.device)

    def run(self, name: str, *arguments: Tensor) -> list[Tensor]:
        """The results of the function ``name``."""
        result = self._machine[name](*arguments)
        return [result] if isinstance(result, Tensor) else list(result)

    def observe(self, observe: Observer | None) -> None:
        """Call ``observe`` around every call from now on, or nobody."""
        if observe is None:
            self._machine["set_instrument"](lambda *_: _GO_ON)
            return

        def instrument(_: Any, name: str, before: bool, __: Any, *arguments: Any) -> int:
            # What is timed behind a call has to be done.
            synchronize(self.device)
            observe(name, before, self.device, arguments)
            return _GO_ON

        self._machine["set_instrument"](instrument)
