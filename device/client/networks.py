"""Networks on a device: ours through TVM's virtual machine, and LiteRT's files.

They live in the session's process, beside the connection. What is uploaded is loaded and removed
again at once: what is loaded stays, until the session ends.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.error import RPCError

from compile.artefact.manifest import LIBRARY
from compile.artefact.reader import Artefact
from compile.support.errors import ArtefactError, TargetError
from compile.support.frame import Frame
from device.client.connection import Connection, last_line
from device.runtime.artefact_device import network_layout
from device.runtime.check_calls import (
    FACTS_FILE,
    CheckedCall,
    Facts,
    pack_arrays,
    unpack_arrays,
)
from device.runtime.gpu_name import gpu_name
from device.server.kernel_calls import TimedCall


class RemoteNetwork(Protocol):
    """A network that is loaded on a device.

    Attributes:
        version: of what runs it there, with the GPU's name; None where it is not known.
    """

    version: str | None

    def outputs(self, frame: Frame) -> Frame:
        """What the network makes of ``frame``; later frames have the same inputs."""

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Wall-clock and CPU seconds on the device's own clocks."""


class VirtualMachine:
    """An artefact of ``compile/build.py`` for one device; any TVM RPC server will do."""

    def __init__(self, connection: Connection, artefact: Artefact) -> None:
        self._cpu_seconds = connection.get_function("mqnet.cpu_seconds")
        self._device = connection.device(artefact.manifest.on_gpu)
        self.version = _tvm_version(connection, artefact)
        with _uploaded_libraries(connection, artefact) as names:
            try:
                module = connection.rpc.load_module(names[LIBRARY])
                self._vm = relax.VirtualMachine(module, self._device)
            except RPCError as error:
                raise _does_not_load(artefact, last_line(error)) from None

    def outputs(self, frame: Frame) -> Frame:
        """Those of one frame, which are copied from the device."""
        inputs = (tvm.runtime.tensor(tensor, self._device) for tensor in frame)
        self._vm.set_input("main", *inputs)
        self._vm.invoke_stateful("main")
        outputs = self._vm.get_outputs("main")
        several = (outputs,) if isinstance(outputs, tvm.runtime.Tensor) else outputs
        return tuple(tensor.numpy() for tensor in several)

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """TVM's evaluator, which computes one untimed frame first as everything here does; of CPU
        time only the mean over these frames can be had."""
        evaluate = self._vm.time_evaluator("invoke_stateful", self._device, number=1, repeat=count)
        if self._cpu_seconds is None:
            return list(evaluate("main").results), []
        begin = self._cpu_seconds()
        wall = list(evaluate("main").results)
        return wall, [(self._cpu_seconds() - begin) / (count + 1)]


class ServerNetwork:
    """A network that the Python of ``device/serve.py`` keeps by ``name``."""

    version: str | None

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self._name = connection, name

    def outputs(self, frame: Frame) -> Frame:
        """Those of one frame, which are copied from the device."""
        rpc = self._connection.rpc
        with self._uploaded(frame) as name:
            self._call("mqnet.network.frame", name, "outputs.npz")
        try:
            with np.load(io.BytesIO(rpc.download("outputs.npz"))) as file:
                return tuple(file.values())
        finally:
            rpc.remove("outputs.npz")

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Of each frame, after one untimed, by the clocks of the device's Python."""
        wall, cpu = json.loads(self._call("mqnet.network.time", count))
        return wall, cpu

    def _call(self, function: str, *arguments: object) -> Any:
        return self._connection.need_function(function)(self._name, *arguments)

    @contextlib.contextmanager
    def _uploaded(self, frame: Frame) -> Iterator[str]:
        file = io.BytesIO()
        np.savez(file, *frame)
        with self._connection.uploaded(file.getvalue(), "inputs.npz") as name:
            yield name


class ServerTvmNetwork(ServerNetwork):
    """An artefact for one device or two, whose calls can be timed by themselves."""

    def __init__(self, connection: Connection, artefact: Artefact) -> None:
        super().__init__(connection, f"tvm-{artefact.manifest.files[LIBRARY].sha256}")
        load = connection.need_function("mqnet.tvm.load")
        self.version = _tvm_version(connection, artefact)
        layout = network_layout(artefact)
        with _uploaded_libraries(connection, artefact) as names:
            parts = {part: (names[file], kind) for part, (file, kind) in layout["parts"].items()}
            answer = json.loads(load(self._name, json.dumps(layout | {"parts": parts})))
        if "error" in answer:
            raise _does_not_load(artefact, answer["error"])

    def time_calls(
        self, frame: Frame, kernels: Collection[str], frames: int, warm_up: int
    ) -> list[TimedCall]:
        """See :func:`device.server.kernel_calls.time_calls`."""
        request = {"kernels": list(kernels), "frames": frames, "warm_up": warm_up}
        with self._uploaded(frame) as uploaded:
            calls = json.loads(
                self._call("mqnet.network.time_calls", uploaded, json.dumps(request))
            )
        return [TimedCall.from_json(call) for call in calls]

    def check_calls(
        self,
        frame: Frame,
        kernels: Collection[str],
        calls: Sequence[CheckedCall],
        given: Mapping[int, Sequence[NDArray[Any]]],
        whole: Collection[int],
        reads: Collection[int] = (),
    ) -> tuple[list[Facts], Facts]:
        """See :func:`device.runtime.check_calls.check_calls`."""
        request = {
            "kernels": list(kernels),
            "calls": [asdict(call) for call in calls],
            "given": list(given),
            "whole": list(whole),
            "reads": list(reads),
        }
        rpc = self._connection.rpc
        values = pack_arrays(list(given.values()))
        with (
            self._uploaded(frame) as inputs,
            self._connection.uploaded(values, "given.npz") as given_file,
        ):
            self._call("mqnet.network.check_calls", inputs, given_file, json.dumps(request))
        try:
            *facts, outputs = unpack_arrays(bytes(rpc.download(FACTS_FILE)))
        finally:
            rpc.remove(FACTS_FILE)
        return facts, outputs


class ServerStandalone(ServerNetwork):
    """The standalone form of an artefact, on ``threads`` threads: the device's Python calls it, and
    its TVM does not."""

    def __init__(self, connection: Connection, artefact: Artefact, threads: int) -> None:
        library = f"lib{artefact.manifest.standalone}.so"
        super().__init__(connection, f"standalone-{artefact.manifest.files[library].sha256}")
        load = connection.need_function("mqnet.standalone.load")
        self.version = _tvm_version(connection, artefact)
        content = artefact.library.with_name(library).read_bytes()
        with connection.uploaded(content, library):
            answer = json.loads(load(self._name, artefact.manifest.standalone, threads))
        if "error" in answer:
            raise _does_not_load(artefact, answer["error"])


class ServerLiteRT(ServerNetwork):
    """A .tflite ``file``, on ``threads`` threads of the processor or on the GPU."""

    def __init__(self, connection: Connection, file: Path, threads: int, on_gpu: bool) -> None:
        # One session may time the same file both ways.
        super().__init__(connection, f"gpu-{file.name}" if on_gpu else file.name)
        load = connection.need_function("mqnet.litert_gpu.load" if on_gpu else "mqnet.litert.load")
        with connection.uploaded(file.read_bytes(), self._name):
            if on_gpu:
                answer = json.loads(load(self._name))
                if "error" in answer:
                    raise TargetError(answer["error"])
                self.version = answer["version"]
            else:
                self.version = load(self._name, threads)
        if not self.version:
            raise TargetError("not installed (ai_edge_litert) on the device")


def load_artefact(connection: Connection, artefact: Artefact) -> RemoteNetwork:
    """Load the network of ``artefact`` on the device.

    Raises:
        ArtefactError: it cannot run there, or does not load.
        TargetError: it is for two devices, and the server is not ``device/serve.py``; or that is
            the native one, which runs no networks.
    """
    connection.check_serves_networks()
    kind = VirtualMachine if artefact.manifest.split is None else ServerTvmNetwork
    return kind(connection, artefact)


def _tvm_version(connection: Connection, artefact: Artefact) -> str | None:
    """Version of TVM, and the GPU that it runs on, as far as they are told.

    Raises:
        ArtefactError: the ``artefact`` cannot run there.
    """
    reason = connection.why_not(artefact.needs)
    if reason is not None:
        target = artefact.manifest.target.name
        raise ArtefactError(f"what is built for target {target} does not run there: {reason}")
    version = connection.tvm_version
    if not artefact.manifest.on_gpu:
        return version
    gpu = connection.describe_gpu()
    return f"{version} on {gpu_name(gpu) if gpu else 'an unknown GPU'}"


def _does_not_load(artefact: Artefact, reason: str) -> ArtefactError:
    return ArtefactError(
        f"{artefact.library}, built for target {artefact.manifest.target.name}, does not "
        f"load on the device ({reason}): build it for the device by --target"
    )


@contextlib.contextmanager
def _uploaded_libraries(connection: Connection, artefact: Artefact) -> Iterator[dict[str, str]]:
    """Names on the device of the artefact's libraries, for as long as they are being loaded."""
    with contextlib.ExitStack() as stack:
        names = {}
        for file, _ in network_layout(artefact)["parts"].values():
            data = artefact.library.with_name(file).read_bytes()
            names[file] = stack.enter_context(connection.uploaded(data, suffix=".so"))
        yield names
