"""The functions that ``device/serve.py`` offers to TVM's RPC beside TVM's own.

They run in the process of one session, which the server forks for each client: what they keep is
gone with it. Answers are JSON, photographs and outputs are .npy files in the session's folder.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
import tvm_ffi

from compile.support.errors import ArtefactError, MqnetError, TargetError
from compile.support.frame import Frame
from device.runtime.check_calls import (
    FACTS_FILE,
    CheckedCall,
    check_calls,
    pack_arrays,
    unpack_arrays,
)
from device.runtime.opencl_device import describe_opencl
from device.runtime.standalone_network import StandaloneNetwork
from device.runtime.tvm_network import TvmNetwork
from device.server.count_call import count_call
from device.server.kernel_calls import time_calls
from device.server.machine import describe_machine, fastest_cores

if TYPE_CHECKING:
    from device.server.litert_file import LiteRTFile
    from device.server.litert_gpu_file import LiteRTGpuFile

_PACKAGES = ("apache-tvm", "numpy", "ai-edge-litert")
# TVM's ThreadGroup::AffinityMode: every thread may run on each of the cores that are named.
_SHARE_ALL_CORES = -3

_networks: dict[str, TvmNetwork | StandaloneNetwork | LiteRTFile | LiteRTGpuFile] = {}


def register_functions() -> None:
    """Make them known by name to the sessions that are served from now on."""
    functions: dict[str, Callable[..., Any]] = {
        "mqnet.machine": _machine,
        "mqnet.use_cores": _use_cores,
        "mqnet.opencl": describe_opencl,
        "mqnet.cpu_seconds": time.process_time,
        "mqnet.count_call": _count_call,
        "mqnet.tvm.load": _load_tvm,
        "mqnet.standalone.load": _load_standalone,
        "mqnet.litert.load": _load_litert,
        "mqnet.litert_gpu.load": _load_litert_on_gpu,
        "mqnet.network.frame": _frame,
        "mqnet.network.time": _time,
        "mqnet.network.time_calls": _time_calls,
        "mqnet.network.check_calls": _check_calls,
    }
    for name, function in functions.items():
        tvm_ffi.register_global_func(name, function, override=True)


def _machine() -> str:
    """What this machine is, and the versions that it has."""
    return json.dumps(
        describe_machine() | {"versions": {name: _version(name) for name in _PACKAGES}}
    )


def _use_cores(threads: int) -> str:
    """Run this session, TVM's threads included, on the ``threads`` fastest cores; which they are.

    TVM's pool is made on its first use and never grows, so this must come first.
    """
    cores = fastest_cores(threads)
    os.sched_setaffinity(0, cores)
    configure = tvm.get_global_func("runtime.config_threadpool")
    configure(_SHARE_ALL_CORES, threads, [str(core) for core in cores])
    return json.dumps(cores)


def _count_call(library: str, name: str, *arguments: tvm.runtime.Tensor) -> str:
    """See :func:`count_call`; of an uploaded library."""
    return count_call(str(_here(library)), name, *arguments)


def _load_tvm(name: str, layout: str) -> str:
    """Load the uploaded libraries that ``layout`` names, of :class:`TvmNetwork` as JSON; JSON with
    the "error", if any."""
    try:
        _networks[name] = TvmNetwork(_here("."), json.loads(layout))
    except ArtefactError as error:
        return json.dumps({"error": str(error)})
    return json.dumps({})


def _load_standalone(name: str, standalone: str, threads: int) -> str:
    """Load the uploaded library of the standalone form of that name; JSON with the "error", if
    any."""
    # The loader goes by names, and the libraries of two builds have the same one.
    with tempfile.TemporaryDirectory(dir=_here(".")) as folder:
        shutil.copy(_here(f"lib{standalone}.so"), folder)
        try:
            _networks[name] = StandaloneNetwork(Path(folder), standalone, threads)
        except MqnetError as error:
            return json.dumps({"error": str(error)})
    return json.dumps({})


def _load_litert(name: str, threads: int) -> str:
    """Load the uploaded .tflite; LiteRT's version, or "" where it is not installed."""
    try:
        from device.server.litert_file import LiteRTFile
    except ModuleNotFoundError:
        return ""
    network = LiteRTFile(_here(name), threads)
    _networks[name] = network
    return network.version


def _load_litert_on_gpu(name: str) -> str:
    """As :func:`_load_litert`, on the GPU: JSON with the "version", or the "error"."""
    try:
        from device.server.litert_gpu_file import LiteRTGpuFile
    except ModuleNotFoundError:
        return json.dumps({"error": "not installed (ai_edge_litert) on the device"})
    try:
        network = LiteRTGpuFile(_here(name))
    except TargetError as error:
        return json.dumps({"error": str(error)})
    _networks[name] = network
    return json.dumps({"version": network.version})


def _frame(name: str, inputs: str, outputs: str) -> None:
    """Run the network on one uploaded file, into another."""
    network = _networks[name]
    network.set_inputs(_loaded(inputs))
    network.run()
    np.savez(_here(outputs), *network.outputs())


def _time(name: str, count: int) -> str:
    """Wall-clock and CPU seconds of each of ``count`` frames, after one untimed."""
    network = _networks[name]
    wall, cpu = [], []
    network.run()
    for _ in range(count):
        start, cpu_start = time.perf_counter(), time.process_time()
        network.run()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    return json.dumps([wall, cpu])


def _time_calls(name: str, inputs: str, request: str) -> str:
    """JSON of :func:`time_calls` with the uploaded inputs, and with what ``request`` names of its
    parameters, as JSON; of a network of :func:`_load_tvm`."""
    network = _networks[name]
    assert isinstance(network, TvmNetwork)
    network.set_inputs(_loaded(inputs))
    return json.dumps([asdict(call) for call in time_calls(network, **json.loads(request))])


def _check_calls(name: str, inputs: str, given: str, request: str) -> None:
    """Write what :func:`check_calls` finds with the uploaded inputs, and with what ``request``
    names of its parameters, as JSON, into :data:`FACTS_FILE`; of a network of :func:`_load_tvm`."""
    network, asked = _networks[name], json.loads(request)
    assert isinstance(network, TvmNetwork)
    network.set_inputs(_loaded(inputs))
    values = unpack_arrays(_here(given).read_bytes())
    facts, outputs = check_calls(
        network,
        asked["kernels"],
        [CheckedCall(**call) for call in asked["calls"]],
        dict(zip(asked["given"], values, strict=True)),
        asked["whole"],
        reads=asked.get("reads", ()),
    )
    _here(FACTS_FILE).write_bytes(pack_arrays([*facts, outputs]))


def _loaded(name: str) -> Frame:
    """The tensors of an uploaded file, in the order in which they were saved."""
    with np.load(_here(name)) as file:
        return tuple(file.values())


def _here(name: str) -> Path:
    """Where this session's uploads are."""
    return Path(tvm.get_global_func("tvm.rpc.server.workpath")(name))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
