"""Asks for the facts of a frame: here in a process of its own, or of a device."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from compile.artefact.reader import Artefact, open_artefact
from compile.support.errors import MqnetError, TargetError
from compile.support.frame import Frame
from compile.support.outcome import Outcome
from compile.support.quick_start import import_tvm_alone
from compile.support.scratch_folder import scratch_folder
from compile.support.worker_process import WorkerProcess
from device.client.address import DeviceAddress
from device.client.connection import Connection
from device.client.device_session import DeviceSession
from device.client.networks import ServerTvmNetwork
from device.runtime.check_calls import CheckedCall, Facts, check_calls
from device.runtime.run_artefact import Session
from device.runtime.tvm_network import TvmNetwork


@dataclass(frozen=True)
class CheckRequest:
    """A frame and what is asked of it; see :func:`device.runtime.check_calls.check_calls`."""

    inputs: Frame
    kernels: Collection[str]
    calls: Sequence[CheckedCall]
    given: Mapping[int, Sequence[NDArray[Any]]]
    reads: Collection[int] = ()


class Machine(Protocol):
    """What runs a build.

    Attributes:
        name: for people.
    """

    name: str

    def facts(self, request: CheckRequest, whole: Collection[int]) -> Outcome:
        """What :func:`device.runtime.check_calls.check_calls` gives, or what went wrong."""

    def reached(self) -> int:
        """Place of the last call that was begun; -1 where it is not known."""


class ThisMachine:
    """A process of its own, which a kernel may crash."""

    name = "this machine"

    def __init__(self, process: WorkerProcess, reached: mmap.mmap, seconds: float) -> None:
        self._process, self._reached, self._seconds = process, reached, seconds

    def facts(self, request: CheckRequest, whole: Collection[int]) -> Outcome:
        """As the protocol has it."""
        self._reached[:8] = b"\xff" * 8
        return self._process.run(_check_here, request, whole, seconds=self._seconds)

    def reached(self) -> int:
        """As the protocol has it."""
        return int.from_bytes(self._reached[:8], "little", signed=True)


class ADevice:
    """A session on a device."""

    def __init__(self, session: DeviceSession, seconds: float) -> None:
        self._session, self._seconds = session, seconds
        self.name = str(session.address)

    def facts(self, request: CheckRequest, whole: Collection[int]) -> Outcome:
        """As the protocol has it."""
        return self._session.run(_check_there, request, whole, seconds=self._seconds)

    def reached(self) -> int:
        """Not known."""
        return -1


@contextlib.contextmanager
def this_machine(artefact: Artefact, threads: int | None, seconds: float) -> Iterator[ThisMachine]:
    """Load ``artefact`` in a process of its own on this machine, whose frames may take ``seconds``.

    Raises:
        MqnetError: it does not run here, or does not load.
    """
    with scratch_folder("mqnet-check-") as folder:
        path = folder / "reached"
        path.write_bytes(bytes(8))
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 8) as reached:
            process = WorkerProcess(import_tvm_alone)
            try:
                asked = artefact.library.parent, threads, path
                loaded = process.run(_load_here, *asked, seconds=seconds)
                if loaded.error:
                    raise MqnetError(
                        f"{artefact.library} cannot be loaded: {loaded.error}"
                        if loaded.crashed
                        else loaded.error
                    )
                yield ThisMachine(process, reached, seconds)
            finally:
                process.close()


@contextlib.contextmanager
def a_device(
    artefact: Artefact, address: DeviceAddress, threads: int | None, seconds: float
) -> Iterator[ADevice]:
    """Load ``artefact`` on the device at ``address``, whose frames may take ``seconds``.

    Raises:
        TargetError: no such device, or it cannot be reached.
        MqnetError: it does not run there, or does not load.
    """
    session = DeviceSession(address, threads or artefact.manifest.threads)
    try:
        opened = session.open()
        if opened.error:
            raise TargetError(opened.error)
        session.check_runs(artefact.manifest.target.name, artefact.needs)
        loaded = session.run(_load_there, artefact.library.parent)
        if loaded.error:
            raise TargetError(f"{address}: {loaded.error}")
        yield ADevice(session, seconds)
    finally:
        session.close()


_loaded: tuple[TvmNetwork, Path] | None = None


def _load_here(folder: Path, threads: int | None, reached: Path) -> None:
    global _loaded
    _loaded = Session(open_artefact(folder), threads).network, reached


def _check_here(request: CheckRequest, whole: Collection[int]) -> tuple[list[Facts], Facts]:
    assert _loaded is not None
    network, path = _loaded
    # TVM's own words about a crash are a page; what is to be said of it is said by who asked.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    network.set_inputs(request.inputs)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 8) as reached:

        def announce(place: int) -> None:
            reached[:8] = place.to_bytes(8, "little", signed=True)

        calls = request.kernels, request.calls, request.given
        return check_calls(network, *calls, whole, announce, request.reads)


def _load_there(connection: Connection, folder: Path) -> None:
    connection.kept["checked"] = ServerTvmNetwork(connection, open_artefact(folder))


def _check_there(
    connection: Connection, request: CheckRequest, whole: Collection[int]
) -> tuple[list[Facts], Facts]:
    network: ServerTvmNetwork = connection.kept["checked"]
    calls = request.kernels, request.calls, request.given
    return network.check_calls(request.inputs, *calls, whole, request.reads)
