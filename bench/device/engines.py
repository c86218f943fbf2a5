"""The engines that can be timed on a device: ours through TVM's virtual machine, and LiteRT.

Each is uploaded, loaded and removed again at once: what is loaded stays.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.error import RPCError
from tvm.rpc import RPCSession

from bench.engines import OURS
from bench.engines.engine import Job
from bench.peers.peer_files import litert_name, peer_file
from bench.session.asked_process import WorkerError
from compile.artefact.compatibility import why_not_on_gpu
from compile.artefact.manifest import LIBRARY
from compile.artefact.reader import Artefact, open_artefact
from device.client.get_function import offered
from device.runtime.artefact_device import network_layout
from device.runtime.gpu_name import gpu_name
from device.server.kernel_calls import TimedCall


class DeviceEngine(Protocol):
    """A network that is loaded on a device; see :class:`bench.session.place.StartedEngine`."""

    version: str | None

    def output(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """H, float32 [H,W,3], for ``photo`` uint8 [H,W,3]; later frames have the same input."""

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Wall-clock and CPU seconds on the device's own clocks."""


class TvmArtefactThere:
    """An artefact of ``compile/build.py`` for one device; any TVM RPC server will do."""

    def __init__(self, session: RPCSession, artefact: Artefact, version: str | None) -> None:
        self._cpu_seconds = offered(session, "mqnet.cpu_seconds")
        self._device = session.cl() if artefact.manifest.on_gpu else session.cpu()
        self.version = _version_there(session, artefact, version)
        with _uploaded_libraries(session, artefact) as names:
            try:
                module = session.load_module(names[LIBRARY])
                self._vm = relax.VirtualMachine(module, self._device)
            except RPCError as error:
                raise _does_not_load(artefact, last_line(error)) from None

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


class ServedNetwork:
    """A network that the Python of ``device/serve.py`` keeps by ``name``."""

    version: str | None

    def __init__(self, session: RPCSession, name: str) -> None:
        self._session, self._name = session, name

    def output(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """H of one frame, which is copied from the device."""
        with self._uploaded_photo(photo) as there:
            self._call("mqnet.network.frame", there, "output.npy")
        try:
            return np.load(io.BytesIO(self._session.download("output.npy")))
        finally:
            self._session.remove("output.npy")

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Of each frame, after one untimed, by the clocks of the device's Python."""
        wall, cpu = json.loads(self._call("mqnet.network.time", count))
        return wall, cpu

    def _call(self, function: str, *arguments: object) -> Any:
        return self._session.get_function(function)(self._name, *arguments)

    @contextlib.contextmanager
    def _uploaded_photo(self, photo: NDArray[np.uint8]) -> Iterator[str]:
        file = io.BytesIO()
        np.save(file, photo)
        with _uploaded(self._session, file.getvalue(), "photo.npy"):
            yield "photo.npy"


class TvmNetworkThere(ServedNetwork):
    """An artefact for one device or two, whose calls can be timed by themselves."""

    def __init__(self, session: RPCSession, artefact: Artefact, version: str | None) -> None:
        super().__init__(session, f"tvm-{artefact.manifest.files[LIBRARY].sha256}")
        load = _offered(session, "mqnet.tvm.load")
        self.version = _version_there(session, artefact, version)
        layout = network_layout(artefact)
        with _uploaded_libraries(session, artefact) as names:
            parts = {part: (names[file], kind) for part, (file, kind) in layout["parts"].items()}
            answer = json.loads(load(self._name, json.dumps(layout | {"parts": parts})))
        if "error" in answer:
            raise _does_not_load(artefact, answer["error"])

    def time_calls(
        self, photo: NDArray[np.uint8], kernels: Collection[str], frames: int, warm_up: int
    ) -> list[TimedCall]:
        """See :func:`device.server.kernel_calls.time_calls`."""
        request = {"kernels": list(kernels), "frames": frames, "warm_up": warm_up}
        with self._uploaded_photo(photo) as there:
            calls = json.loads(self._call("mqnet.network.time_calls", there, json.dumps(request)))
        return [TimedCall.from_json(call) for call in calls]


class LiteRTThere(ServedNetwork):
    """A file of ``bench/peers/convert_litert.py``, on the processor or the GPU."""

    def __init__(self, session: RPCSession, job: Job) -> None:
        on_gpu, file = job.engine == "litert-gpu", litert_name(job.scheme, job.size)
        # One session may time the same file both ways.
        super().__init__(session, f"gpu-{file}" if on_gpu else file)
        load = _offered(session, "mqnet.litert_gpu.load" if on_gpu else "mqnet.litert.load")
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


def start_engine(session: RPCSession, job: Job, facts: dict[str, Any]) -> DeviceEngine:
    """Load the network of ``job`` on the device that has told ``facts`` about itself.

    Raises:
        WorkerError: it cannot be timed there, and why.
        MqnetError: its file is missing or damaged.
    """
    if job.engine in OURS:
        artefact = open_artefact(job.artefact)
        there = TvmArtefactThere if artefact.manifest.split is None else TvmNetworkThere
        return there(session, artefact, tvm_version(facts))
    if job.engine in ("litert", "litert-gpu"):
        return LiteRTThere(session, job)
    raise WorkerError("has no way onto a device: only ours, litert and litert-gpu have")


def load_uploaded(session: RPCSession, library: Path) -> tvm.runtime.Module:
    """``library`` on the device, by its name."""
    with _uploaded(session, library.read_bytes(), library.name):
        return session.load_module(library.name)


def tvm_version(facts: Mapping[str, Any]) -> str | None:
    """Of a device that has told ``facts`` about itself."""
    return facts.get("versions", {}).get("apache-tvm")


def last_line(error: Exception) -> str:
    """What is to be said of an error: TVM puts its stack first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _version_there(session: RPCSession, artefact: Artefact, version: str | None) -> str | None:
    """Of TVM, and which GPU it runs on, that can run the ``artefact``, as far as they are told."""
    if not artefact.manifest.on_gpu:
        return version
    describe = offered(session, "mqnet.opencl")
    if describe is None:
        return f"{version} on an unknown GPU"
    gpu = json.loads(describe())
    reason = artefact.needs.gpu and why_not_on_gpu(artefact.needs.gpu, gpu)
    if reason is not None:
        target = artefact.manifest.target.name
        raise WorkerError(f"what is built for target {target} cannot run there: {reason}")
    return f"{version} on {gpu_name(gpu)}"


def _offered(session: RPCSession, name: str) -> Callable[..., Any]:
    function = offered(session, name)
    if function is None:
        raise WorkerError("the device has no Python: it is not served by device/serve.py")
    return function


def _does_not_load(artefact: Artefact, reason: str) -> WorkerError:
    return WorkerError(
        f"{artefact.library}, built for target {artefact.manifest.target.name}, does not "
        f"load on the device ({reason}): build it for the device by --target"
    )


@contextlib.contextmanager
def _uploaded_libraries(session: RPCSession, artefact: Artefact) -> Iterator[dict[str, str]]:
    """Names on the device of the artefact's libraries, for as long as they are being loaded."""
    with contextlib.ExitStack() as stack:
        names = {}
        for file, facts in artefact.manifest.files.items():
            # By its content: a name that the device has loaded means what it has loaded.
            names[file] = f"{facts.sha256}.so"
            data = artefact.library.with_name(file).read_bytes()
            stack.enter_context(_uploaded(session, data, names[file]))
        yield names


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
