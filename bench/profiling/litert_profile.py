"""LiteRT's own profile of a network: the time of its kernels by type.

Its Python package has no call for it; the C API in the package's ``libLiteRt.so`` has. The
functions and their order follow LiteRT's public headers (litert/c/litert_*.h). A process of its own
is needed: the library does not survive being unloaded.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path

_FLOAT_BYTES = 4
# A line of the statistics: name, count, average, least, most and total microseconds.
_TOTAL_LINE = re.compile(r"^(?P<name>\S.*?)\s{2,}\d+\s+[\d.]+\s+\d+\s+\d+\s+(?P<total>\d+)\s*$")


def profile_litert(file: Path, frames: int) -> dict[str, float]:
    """Mean seconds per frame of each type of kernel, on one thread; ``file`` takes float32.

    Raises:
        RuntimeError: LiteRT refused a call; its own words are in the text.
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(file), str(frames)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"LiteRT's profiler failed: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def seconds_by_type(summary: str, frames: int) -> dict[str, float]:
    """Of the text that LiteRT summarizes a profile in."""
    found = (_TOTAL_LINE.match(line) for line in summary.splitlines())
    return {m["name"]: int(m["total"]) / 1e6 / frames for m in found if m}


class _Api:
    """Calls that return a status, checked, and handles by reference."""

    def __init__(self) -> None:
        import ai_edge_litert

        folder = Path(ai_edge_litert.__file__).parent
        self._library = ctypes.CDLL(str(folder / "libLiteRt.so"))
        self._kept: list[object] = []
        self._no_deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)

    def call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, f"LiteRt{name}")(*arguments)
        if status:
            raise RuntimeError(f"LiteRt{name} returned status {status}")

    def make(self, name: str, *arguments: object) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(handle))
        return handle

    def option(self, kind: bytes, text: bytes) -> ctypes.c_void_p:
        buffers = [ctypes.create_string_buffer(part) for part in (kind, text)]
        self._kept += buffers
        value = ctypes.cast(buffers[1], ctypes.c_void_p)
        return self.make("CreateOpaqueOptions", buffers[0], value, self._no_deleter)


def _profile(file: str, frames: int) -> dict[str, float]:
    api, zero = _Api(), ctypes.c_size_t(0)
    environment = api.make("CreateEnvironment", ctypes.c_int(0), None)
    model = api.make("CreateModelFromFile", environment, file.encode())
    options = api.make("CreateOptions")
    cpu = ctypes.c_int(1)
    api.call("SetOptionsHardwareAccelerators", options, cpu)
    runtime = api.option(b"runtime_options_string", b"enable_profiling = true\n")
    api.call("AddOpaqueOptions", options, runtime)
    api.call("AddOpaqueOptions", options, api.option(b"xnnpack", b"num_threads = 1\n"))
    compiled = api.make("CreateCompiledModel", environment, model, options)
    profiler = api.make("CompiledModelGetProfiler", compiled)
    graph = api.make("GetModelSubgraph", model, zero)
    buffers = {}
    for kind in ("Input", "Output"):
        tensor = api.make(f"GetSubgraph{kind}", graph, zero)
        ranked = ctypes.create_string_buffer(512)
        api.call("GetRankedTensorType", tensor, ranked)
        needs = api.make(f"GetCompiledModel{kind}BufferRequirements", compiled, zero, zero)
        buffers[kind] = api.make(
            "CreateManagedTensorBufferFromRequirements", environment, ranked, needs
        )
    _fill(api, buffers["Input"])
    lists = {kind: (ctypes.c_void_p * 1)(buffer.value) for kind, buffer in buffers.items()}
    one = ctypes.c_size_t(1)

    def run(times: int) -> None:
        for _ in range(times):
            api.call("RunCompiledModel", compiled, zero, one, lists["Input"], one, lists["Output"])

    run(3)
    api.call("StartProfiler", profiler)
    run(frames)
    api.call("StopProfiler", profiler)
    summary = ctypes.c_char_p()
    api.call("GetProfileSummary", profiler, compiled, ctypes.byref(summary))
    assert summary.value is not None
    return seconds_by_type(summary.value.decode(), frames)


def _fill(api: _Api, buffer: ctypes.c_void_p) -> None:
    """Noise in [0, 1]: zeros could be denormal further on, and slow."""
    import numpy as np

    size, address = ctypes.c_size_t(), ctypes.c_void_p()
    api.call("GetTensorBufferSize", buffer, ctypes.byref(size))
    write = ctypes.c_int(1)
    api.call("LockTensorBuffer", buffer, ctypes.byref(address), write)
    noise = np.random.default_rng(0).random(size.value // _FLOAT_BYTES, np.float32)
    ctypes.memmove(address, noise.ctypes.data, noise.nbytes)
    api.call("UnlockTensorBuffer", buffer)


if __name__ == "__main__":
    print(json.dumps(_profile(sys.argv[1], int(sys.argv[2]))), flush=True)
    # Not sys.exit: LiteRT's own destructors crash.
    os._exit(0)
