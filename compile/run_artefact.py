"""Runs a built network on this machine, through TVM's virtual machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax

from compile.artefact import Artefact, check_runs_here
from compile.artefact_device import artefact_device
from compile.errors import ArtefactError, MqnetError
from compile.parts import BACKBONE, COPY, HEAD, HEAD_LIBRARY, INPUT

# TVM's ThreadGroup::AffinityMode: every thread may run on each of the cores that are named.
_SHARE_ALL_CORES = -3
_PARTS = BACKBONE, HEAD
# VMInstrumentReturnKind: make the call that was announced.
_GO_ON = 0


class Session:
    """A loaded artefact.

    Attributes:
        threads: that run a frame: those asked for, or those of the manifest where the process may
            use as many cores.
        device: that the picture goes to first.

    Raises:
        ArtefactError: another machine's artefact, a library that does not load, or no device.
    """

    def __init__(self, artefact: Artefact, threads: int | None = None) -> None:
        check_runs_here(artefact)
        wanted = artefact.manifest["threads"] if threads is None else threads
        if wanted < 1:
            raise MqnetError(f"threads {wanted} is not a positive number")
        self.threads = use_threads(wanted)
        if threads is not None and self.threads < threads:
            raise MqnetError(
                f"threads {threads} is more than the {self.threads} cores that this process may "
                "use: ask for fewer"
            )
        self.artefact = artefact
        gpu = artefact_device(artefact.manifest["target"])
        self._split = artefact.manifest.get("split")
        if self._split is None:
            self._parts = {"main": LoadedPart(artefact.library, gpu)}
            self.device = gpu
            return
        devices = {name: gpu for name in _PARTS}
        devices[self._split["on_processor"]] = tvm.cpu()
        libraries = artefact.library, artefact.library.with_name(HEAD_LIBRARY)
        self._parts = {
            name: LoadedPart(library, devices[name])
            for name, library in zip(_PARTS, libraries, strict=True)
        }
        self.device = devices[BACKBONE]

    def run(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """The network's output H, float32 [H,W,3], for ``image`` uint8 [H,W,3] of the artefact's
        size; and the seconds that the frame took, with what is copied between two devices.

        Raises:
            ArtefactError: a GPU refuses: a kernel does not compile, or its memory is full.
        """
        tensors = self._tensors(image)
        start = time.perf_counter()
        try:
            output, last = self._run(tensors)
            # A GPU has only been told what to do.
            last.device.sync()
        except RuntimeError as error:
            if all(part.device == tvm.cpu() for part in self._parts.values()):
                raise
            raise ArtefactError(str(error).strip()) from None
        seconds = time.perf_counter() - start
        return output.numpy()[0], seconds

    def run_observed(
        self, image: NDArray[np.uint8], observe: Callable[[str, bool, Sequence[Any]], None]
    ) -> None:
        """One frame, with ``observe(name, before, arguments)`` before and after every call of the
        virtual machine: kernels, with inputs and output among their arguments, and its own. Behind
        each the device has done it. A copy from one device to another is called :data:`COPY`, and
        has its source and its result."""
        tensors = self._tensors(image)
        for part in self._parts.values():
            part.observe(observe)
        try:
            self._run(tensors, observe)
        finally:
            for part in self._parts.values():
                part.observe(None)

    def run_part(self, name: str, *inputs: NDArray) -> list[NDArray]:
        """The results of function ``name`` ("backbone", "head" or, of one that is not split,
        "main") of the library."""
        part = self._parts.get(name) or self._parts["main"]
        return [tensor.numpy() for tensor in part.run(name, *map(part.tensor, inputs))]

    def _tensors(self, image: NDArray[np.uint8]) -> dict[str, tvm.runtime.Tensor]:
        """The picture, on the device of each part."""
        picture = np.ascontiguousarray(image)[None]
        return {name: part.tensor(picture) for name, part in self._parts.items()}

    def _run(
        self,
        tensors: dict[str, tvm.runtime.Tensor],
        observe: Callable[[str, bool, Sequence[Any]], None] = lambda *_: None,
    ) -> tuple[tvm.runtime.Tensor, LoadedPart]:
        """The output, and the part that has made it."""
        if self._split is None:
            part = self._parts["main"]
            return part.run("main", tensors["main"])[0], part
        backbone, head = (self._parts[name] for name in _PARTS)
        results = backbone.run(BACKBONE, tensors[BACKBONE])
        backbone.device.sync()
        arguments = []
        for origin in self._split["head_arguments"]:
            if origin == INPUT:
                arguments.append(tensors[HEAD])
                continue
            there = tvm.runtime.empty(results[origin].shape, results[origin].dtype, head.device)
            observe(COPY, True, (results[origin], there))
            results[origin].copyto(there)
            head.device.sync()
            observe(COPY, False, (results[origin], there))
            arguments.append(there)
        return head.run(HEAD, *arguments)[0], head


class LoadedPart:
    """A library of functions, on one device.

    Raises:
        ArtefactError: it does not load.
    """

    def __init__(self, library: Path, device: tvm.runtime.Device) -> None:
        self.device = device
        try:
            module = tvm.runtime.load_module(str(library.absolute()))
            self._vm = relax.VirtualMachine(module, device)
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

    def observe(self, observe: Callable[[str, bool, Sequence[Any]], None] | None) -> None:
        """Call ``observe`` around every call from now on, or nobody."""

        def instrument(_: Any, name: str, before: bool, __: Any, *arguments: Any) -> int:
            # What is timed behind a call has to be done.
            self.device.sync()
            observe(name, before, arguments)
            return _GO_ON

        self._vm.set_instrument((lambda *_: _GO_ON) if observe is None else instrument)


def use_threads(threads: int) -> int:
    """Let TVM's kernels run on ``threads`` threads when called from this one, placed by the system
    on the cores that the process may use; how many they are, which is no more than those cores.

    Left alone, TVM takes half of the cores of an x86-64 machine (it takes the rest for
    hyper-threads), counts those that the process may not use, and binds the calling thread to the
    first of them for good, and with it every process that is started later. The pool is made on
    its first use and never grows, so this must come first.
    """
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))]
    tvm.get_global_func("runtime.config_threadpool")(_SHARE_ALL_CORES, threads, cores)
    return tvm.get_global_func("runtime.NumThreads")()
