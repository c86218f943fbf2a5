"""Builds candidates on the workers of a Dask cluster, which may be any number of machines.

Dask hands out the work, gives what a lost worker had to another one, and takes workers that come
later. A worker needs this project and the session's version of TVM; one thread in each process, as
LLVM's work does not share a process well.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compile.codegen.link.link import LinkOptions
from compile.kernels.common.core_model import CoreModel
from compile.search.build_candidates import Build
from compile.search.cluster_worker import build_there, version_there
from compile.search.kernel_task import KernelTask
from compile.support.errors import MqnetError, TargetError
from targets.spec import TargetSpec

if TYPE_CHECKING:
    from distributed import Client, Future

_SECONDS_TO_CONNECT = 5.0
# A worker's first build imports TVM, and one that crashed starts anew.
_SECONDS_TO_START = 60.0
_SECONDS_PER_BUILD = 30.0


class BuildCluster:
    """The cluster at ``address``, as "tcp://HOST:PORT", found to be of use.

    Raises:
        MqnetError: no such address, Dask is not installed, or a worker has another TVM.
        TargetError: no scheduler answers there, or it has no workers.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.client = _connect(address)
        try:
            _check_workers(self.client, address)
        except BaseException:
            self.client.close()
            raise

    def close(self) -> None:
        """Leave the cluster; its workers stay."""
        self.client.close()


class ClusterBuilder:
    """See :class:`compile.search.build_candidates.Builder`; on a cluster, which is not closed."""

    def __init__(
        self,
        cluster: BuildCluster,
        spec: TargetSpec,
        core: CoreModel,
        folder: Path,
        ndk_compiler: Path | None = None,
    ) -> None:
        self._address, self._client = cluster.address, cluster.client
        self._folder, self._count = folder, 0
        self._what = spec, LinkOptions(ndk_compiler=ndk_compiler), core

    def build(self, candidates: Sequence[tuple[KernelTask, str]]) -> list[Build]:
        """Each kernel cut by the configuration beside it.

        Raises:
            TargetError: the scheduler went away, or its last worker.
        """
        futures = [
            self._client.submit(
                build_there, *self._what, task.family, task.module, configuration, pure=False
            )
            for task, configuration in candidates
        ]
        rounds = ceil(len(futures) / max(1, self._threads()))
        deadline = time.monotonic() + _SECONDS_TO_START + rounds * _SECONDS_PER_BUILD
        try:
            return [self._outcome(future, deadline) for future in futures]
        finally:
            self._client.cancel(futures)

    def close(self) -> None:
        """Nothing of it is left on the cluster."""

    def _threads(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except OSError:
            raise self._gone() from None

    def _gone(self) -> TargetError:
        return TargetError(
            f"the scheduler at {self._address} went away: start it again, and the same command "
            "goes on where this one stopped"
        )

    def _outcome(self, future: Future, deadline: float) -> Build:
        from distributed import CancelledError, KilledWorker
        from distributed import TimeoutError as NoAnswer

        try:
            library = future.result(max(0.0, deadline - time.monotonic()))
        except NoAnswer:
            if not self._threads():
                raise TargetError(
                    f"no worker is left at {self._address}: start some (dask worker "
                    f"{self._address} --nthreads 1), and the same command goes on where this one "
                    "stopped"
                ) from None
            return Build(None, "was not built in time")
        except CancelledError:
            raise self._gone() from None
        except KilledWorker:
            return Build(None, "crashed every worker that built it")
        except Exception as error:  # A candidate may fail in any way: it is recorded, and is over.
            lines = str(error).strip().splitlines()
            return Build(None, f"{type(error).__name__}: {lines[-1] if lines else ''}"[:300])
        self._count += 1
        path = self._folder / f"candidate{self._count}.so"
        path.write_bytes(library)
        return Build(path)


def _connect(address: str) -> Client:
    if not re.fullmatch(r"(tcp|tls)://[^/\s]+:\d{1,5}", address):
        raise MqnetError(f"build-workers {address!r} is not tcp://HOST:PORT")
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise MqnetError(
            "--build-workers needs Dask, which is not installed: pip install distributed"
        ) from None
    try:
        return Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise TargetError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}): start one there by "
            "dask scheduler, or mend --build-workers"
        ) from None


def _check_workers(client: Client, address: str) -> None:
    here = version("apache-tvm")
    try:
        client.wait_for_workers(1, timeout=_SECONDS_TO_CONNECT)
    except TimeoutError:
        raise TargetError(
            f"the Dask scheduler at {address} has no workers: start some by dask worker {address} "
            "--nthreads 1"
        ) from None
    found: dict[str, Any] = client.run(version_there, on_error="return")
    for worker, there in found.items():
        if there != here:
            raise MqnetError(
                f"build worker {worker} cannot be used (TVM {here} is wanted there; it says "
                f"{there!r}): install this project and its requirements.lock for it"
            )
