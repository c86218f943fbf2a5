"""Runs a built network on this machine, through TVM's virtual machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax

from compile.artefact import Artefact, check_runs_here
from compile.artefact_device import artefact_device
from compile.errors import ArtefactError, MqnetError

# TVM's ThreadGroup::AffinityMode: every thread may run on each of the cores that are named.
_SHARE_ALL_CORES = -3
# VMInstrumentReturnKind: make the call that was announced.
_GO_ON = 0


class Session:
    """A loaded artefact.

    Attributes:
        threads: that run a frame: those asked for, or those of the manifest where the process may
            use as many cores.
        device: that runs the kernels.

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
        self.device = artefact_device(artefact.manifest["target"])
        try:
            library = tvm.runtime.load_module(str(artefact.library.absolute()))
            self._vm = relax.VirtualMachine(library, self.device)
        except (RuntimeError, OSError, AttributeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise ArtefactError(
                f"{artefact.library} does not load ({reason}): build it again"
            ) from None

    def run(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """The network's output H, float32 [H,W,3], for ``image`` uint8 [H,W,3] of the artefact's
        size; and the seconds that the frame took.

        Raises:
            ArtefactError: the device refuses: a kernel does not compile, or its memory is full.
        """
        tensor = self._tensor(image)
        start = time.perf_counter()
        try:
            output = self._vm["main"](tensor)
            # A GPU has only been told what to do.
            self.device.sync()
        except RuntimeError as error:
            if self.device.dlpack_device_type() == tvm.cpu().dlpack_device_type():
                raise
            raise ArtefactError(str(error).strip()) from None
        seconds = time.perf_counter() - start
        return output.numpy()[0], seconds

    def run_observed(
        self, image: NDArray[np.uint8], observe: Callable[[str, bool, Sequence[Any]], None]
    ) -> None:
        """One frame, with ``observe(name, before, arguments)`` before and after every call of the
        virtual machine: kernels, with inputs and output among their arguments, and its own."""

        def instrument(_: Any, name: str, before: bool, __: Any, *arguments: Any) -> int:
            observe(name, before, arguments)
            return _GO_ON

        tensor = self._tensor(image)
        self._vm.set_instrument(instrument)
        try:
            self._vm["main"](tensor)
        finally:
            self._vm.set_instrument(lambda *_: _GO_ON)

    def run_part(self, name: str, *inputs: NDArray) -> list[NDArray]:
        """The results of function ``name`` ("backbone", "head" or "main") of the library."""
        result = self._vm[name](*(tvm.runtime.tensor(value, self.device) for value in inputs))
        results = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
        return [tensor.numpy() for tensor in results]

    def _tensor(self, image: NDArray[np.uint8]) -> tvm.runtime.Tensor:
        return tvm.runtime.tensor(np.ascontiguousarray(image)[None], self.device)


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
