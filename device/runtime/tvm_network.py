"""A network of our own from its libraries, on the devices of the machine that this runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm.runtime import vm

from compile.graph.parts import BACKBONE, COPY, HEAD, INPUT
from compile.support.errors import ArtefactError
from compile.support.frame import Frame

#: Called before and after every call of the virtual machine, with its name, whether it is before,
#: the device that computes it, and its arguments, output included.
Observer = Callable[[str, bool, tvm.runtime.Device, Sequence[Any]], None]

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
            name: LoadedPart(folder / library, tvm.device(kind))
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
            if all(part.device == tvm.cpu() for part in self._parts.values()):
                raise
            raise ArtefactError(str(error).strip()) from None

    def outputs(self) -> Frame:
        """Those of the last frame."""
        return tuple(map(_on_processor, self._outputs))

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
        return [tensor.numpy() for tensor in part.run(name, *map(part.tensor, inputs))]

    def _run(self, observe: Observer) -> None:
        if "main" in self._parts:
            last = self._parts["main"]
            self._outputs = last.run("main", *self._inputs["main"])
        else:
            last = self._parts[HEAD]
            self._outputs = last.run(HEAD, *self._cross(observe))
        # A GPU has only been told what to do.
        last.device.sync()

    def _cross(self, observe: Observer) -> list[tvm.runtime.Tensor]:
        """What the head takes: results of the backbone, copied to its device, and the input."""
        backbone, head = self._parts[BACKBONE], self._parts[HEAD]
        results = backbone.run(BACKBONE, *self._inputs[BACKBONE])
        backbone.device.sync()
        arguments = []
        for origin in self._head_arguments:
            if origin == INPUT:
                arguments += self._inputs[HEAD]
                continue
            there = tvm.runtime.empty(results[origin].shape, results[origin].dtype, head.device)
            observe(COPY, True, tvm.cpu(), (results[origin], there))
            results[origin].copyto(there)
            head.device.sync()
            observe(COPY, False, tvm.cpu(), (results[origin], there))
            arguments.append(there)
        return arguments


class LoadedPart:
    """A library of functions, on one device.

    Raises:
        ArtefactError: it does not load.
    """

    def __init__(self, library: Path, device: tvm.runtime.Device) -> None:
        self.device = device
        try:
            module = tvm.runtime.load_module(str(library.absolute()))
            self._vm = vm.VirtualMachine(module, device)
        except (RuntimeError, OSError, AttributeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise ArtefactError(f"{library} does not load ({reason}): build it again") from None

    def tensor(self, array: NDArray) -> tvm.runtime.Tensor:
        """``array`` on the device."""
        return tvm.runtime.tensor(array, self.device)

    def run(self, name: str, *arguments: tvm.runtime.Tensor) -> list[tvm.runtime.Tensor]:
        """The results of the function ``name``."""
        result = self._vm[name](*arguments)
        return [result] if isinstance(result, tvm.runtime.Tensor) else list(result)

    def observe(self, observe: Observer | None) -> None:
        """Call ``observe`` around every call from now on, or nobody."""
        if observe is None:
            self._vm.set_instrument(lambda *_: _GO_ON)
            return

        def instrument(_: Any, name: str, before: bool, __: Any, *arguments: Any) -> int:
            # What is timed behind a call has to be done.
            self.device.sync()
            observe(name, before, self.device, arguments)
            return _GO_ON

        self._vm.set_instrument(instrument)


def _on_processor(tensor: tvm.runtime.Tensor) -> np.ndarray:
    """Where it is, in the memory of a processor; out of a GPU's, a copy."""
    return np.from_dlpack(tensor) if tensor.device == tvm.cpu() else tensor.numpy()
