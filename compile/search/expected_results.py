"""What a kernel should compute: by the loops of its definition, on this machine.

They know nothing of tiles, packed loops or instructions, and each result is one sum: so integers
have to agree bit for bit, whatever the device. Computed when first asked for, and once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tvm

from compile.search.build_candidates import FUNCTION
from compile.search.kernel_task import KernelTask, TaskArguments
from compile.support.worker_pool import WorkerPool
from device.runtime.run_artefact import use_threads
from targets.describe_target import tvm_target
from targets.load_target import HOST_NAME, load_target

# A scalar loop takes about a second for a billion multiply-accumulates.
_SECONDS = 600.0


class ExpectedResults:
    """Files of results in ``folder``, by kernel."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Path] = {}
        self._pool: WorkerPool | None = None

    def of(self, task: KernelTask) -> Path:
        """The .npz with the kernel's results in order.

        Raises:
            RuntimeError: they cannot be computed here.
        """
        if task.key not in self._known:
            if self._pool is None:
                self._pool = WorkerPool(1, _prepare)
            path = self._folder / f"expected{len(self._known)}.npz"
            job = task.module, task.arguments, path
            (outcome,) = self._pool.run(_compute, [job], _SECONDS)
            if outcome.error:
                raise RuntimeError(f"{task.name} cannot be computed as it is defined: {outcome}")
            self._known[task.key] = path
        return self._known[task.key]

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.close()


def _prepare() -> None:
    use_threads(1)


def _compute(module: str, arguments: TaskArguments, path: Path) -> None:
    target = tvm_target(load_target(HOST_NAME), 1)
    library = tvm.compile(tvm.ir.load_json(module), target=target)
    tensors = [tvm.runtime.tensor(array) for array in arguments.draw()]
    library[FUNCTION](*tensors)
    np.savez(path, *(tensor.numpy() for tensor in tensors[arguments.inputs :]))
