"""The engines that can be timed on a device: ours through TVM's virtual machine, and LiteRT.

Each is uploaded, loaded and removed again at once: what is loaded stays.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.error import RPCError
from tvm.rpc import RPCSession

from bench.baselines import OURS
from bench.baselines.engine import Job
from bench.peer_files import litert_name, peer_file
from bench.timing.asked_process import WorkerError
from compile.artefact import LIBRARY, Artefact, open_artefact
from compile.artefact_device import check_opencl
from targets.gpu_name import gpu_name
from targets.remote.offered import offered


class DeviceEngine(Protocol):
    """A network that is loaded on a device; see :class:`bench.timing.place.StartedEngine`."""

    version: str | None

    def output(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """H, float32 [H,W,3], for ``photo`` uint8 [H,W,3]; later frames have the same input."""

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Wall-clock and CPU seconds on the device's own clocks."""


class TvmArtefactThere:
    """An artefact of ``compile/build.py``; any TVM RPC server will do."""

    def __init__(self, session: RPCSession, job: Job, version: str | None) -> None:
        assert job.artefact is not None
        self.version = version
        self._cpu_seconds = offered(session, "mqnet.cpu_seconds")
        artefact = open_artefact(job.artefact)
        if "split" in artefact.manifest:
            raise WorkerError(
                f"{artefact.library.parent} is split over two devices, which is timed by "
                "bench/kernel_times.py and on this machine only: build without --on-processor"
            )
        self._device = session.cpu()
        if artefact.manifest["target"].get("opencl") is not None:
            self._device = session.cl()
            gpu = _checked_gpu(session, artefact)
            self.version = f"{version} on {gpu_name(gpu) if gpu else 'an unknown GPU'}"
        # By its content: a name that the device has loaded means what it has loaded.
        name = f"{artefact.manifest['files'][LIBRARY]['sha256']}.so"
        with _uploaded(session, artefact.library.read_bytes(), name):
            try:
                self._vm = relax.VirtualMachine(session.load_module(name), self._device)
            except RPCError as error:
                target = artefact.manifest["target"]["name"]
                raise WorkerError(
                    f"{artefact.library}, built for target {target}, does not load on the device "
                    f"({last_line(error)}): build it for the device by --target"
                ) from None

    def output(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """H of one frame, which is copied from the device."""
        self._vm.set_input("main", tvm.runtime.tensor(photo[None], self._device))
        self._vm.invoke_stateful("main")
        return self._vm.get_outputs("main").numpy()[0]

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """TVM's evaluator, which computes one untimed frame first as everything here does; of CPU
        time only the mean over these frames can be had."""
        evaluate = self._vm.time_evaluator("invoke_stateful", self._device, number=1, repeat=count)
        begin = self._cpu_seconds() if self._cpu_seconds else None
        wall = list(evaluate("main").results)
        if begin is None:
            return wall, []
        return wall, [(self._cpu_seconds() - begin) / (count + 1)]


class LiteRTThere:
    """A file of ``bench/convert/litert.py``, run by the Python of ``targets/serve.py``, on the
    processor or the GPU."""

    def __init__(self, session: RPCSession, job: Job) -> None:
        on_gpu = job.engine == "litert-gpu"
        load = offered(session, "mqnet.litert_gpu.load" if on_gpu else "mqnet.litert.load")
        if load is None:
            raise WorkerError("the device has no Python: it is not served by targets/serve.py")
        self._session = session
        self._frame, self._time = (offered(session, f"mqnet.litert.{n}") for n in ("frame", "time"))
        file = litert_name(job.scheme, job.size)
        # One session may time the same file both ways.
        self._name = f"gpu-{file}" if on_gpu else file
        with _uploaded(session, peer_file(file).read_bytes(), self._name):
            if on_gpu:
                answer = json.loads(load(self._name))
                if "error" in answer:
                    raise WorkerError(answer["error"])
                self.version = answer["version"]
            else:
                self.version = load(self._name, job.threads)
        if not self.version:
            raise WorkerError("not installed (ai_edge_litert) on the device")

    def output(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """H of one frame, which is copied from the device."""
        file = io.BytesIO()
        np.save(file, photo)
        with _uploaded(self._session, file.getvalue(), "photo.npy"):
            self._frame(self._name, "photo.npy", "output.npy")
        try:
            return np.load(io.BytesIO(self._session.download("output.npy")))
        finally:
            self._session.remove("output.npy")

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Of each frame, after one untimed, by the clocks of the device's Python."""
        wall, cpu = json.loads(self._time(self._name, count))
        return wall, cpu


def start_engine(session: RPCSession, job: Job, facts: dict[str, Any]) -> DeviceEngine:
    """Load the network of ``job`` on the device that has told ``facts`` about itself.

    Raises:
        WorkerError: it cannot be timed there, and why.
        MqnetError: its file is missing or damaged.
    """
    if job.engine in OURS:
        return TvmArtefactThere(session, job, facts.get("versions", {}).get("apache-tvm"))
    if job.engine in ("litert", "litert-gpu"):
        return LiteRTThere(session, job)
    raise WorkerError("has no way onto a device: only ours, litert and litert-gpu have")


def last_line(error: Exception) -> str:
    """What is to be said of an error: TVM puts its stack first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _checked_gpu(session: RPCSession, artefact: Artefact) -> dict[str, Any] | None:
    """What the device tells of its GPU, which can run the ``artefact``; None where its server is
    none of ours and tells nothing."""
    describe = offered(session, "mqnet.opencl")
    if describe is None:
        return None
    gpu = json.loads(describe())
    check_opencl(artefact.manifest["target"], gpu)
    return gpu


@contextlib.contextmanager
def _uploaded(session: RPCSession, data: bytes, name: str) -> Iterator[None]:
    """``data`` as a file of the device, for as long as it is being read."""
    session.upload(bytearray(data), name)
    try:
        yield
    finally:
        # A device that is gone has its own troubles, and the first of them is the one to tell.
        with contextlib.suppress(RuntimeError):
            session.remove(name)
