"""Runs a built network on this machine, through TVM's virtual machine."""

from __future__ import annotations

import time

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax

from compile.artefact import Artefact, check_runs_here
from compile.errors import ArtefactError, MqnetError

# Values of TVM's ThreadGroup::AffinityMode: the system places the threads.
_AFFINITY_NONE = -2


class Session:
    """A loaded artefact.

    Raises:
        ArtefactError: another machine's artefact, or a library that does not load.
    """

    def __init__(self, artefact: Artefact, threads: int | None = None) -> None:
        check_runs_here(artefact)
        self.threads = artefact.manifest["threads"] if threads is None else threads
        if self.threads < 1:
            raise MqnetError(f"threads {self.threads} is not a positive number")
        self.artefact = artefact
        try:
            library = tvm.runtime.load_module(str(artefact.library.absolute()))
            self._vm = relax.VirtualMachine(library, tvm.cpu())
        except (RuntimeError, OSError, AttributeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise ArtefactError(
                f"{artefact.library} does not load ({reason}): build it again"
            ) from None
        use_threads(self.threads)

    def run(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """The network's output H, float32 [H,W,3], for ``image`` uint8 [H,W,3] of the artefact's
        size; and the seconds that the frame took."""
        tensor = tvm.runtime.tensor(np.ascontiguousarray(image)[None])
        start = time.perf_counter()
        output = self._vm["main"](tensor)
        seconds = time.perf_counter() - start
        return output.numpy()[0], seconds

    def run_part(self, name: str, *inputs: NDArray) -> list[NDArray]:
        """The results of function ``name`` ("backbone", "head" or "main") of the library."""
        result = self._vm[name](*(tvm.runtime.tensor(value) for value in inputs))
        results = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
        return [tensor.numpy() for tensor in results]


def use_threads(threads: int) -> None:
    """Let TVM's kernels of this process run on ``threads`` threads, placed by the system.

    TVM's other modes bind the calling thread to one core for good, and with it every process that
    it starts later.
    """
    tvm.get_global_func("runtime.config_threadpool")(_AFFINITY_NONE, threads)
