"""The side of a session that speaks TVM's RPC; it runs in the session's own process.

Its functions are what ``device/serve.py`` offers as ``mqnet.*``; another RPC server has none of
them, and what needs one says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tvm
from tvm.rpc import RPCSession

from compile.artefact.compatibility import MachineFacts, TargetNeeds, why_not
from compile.support.errors import TargetError

# TVM's ThreadGroup::AffinityMode: on the big cores, where there are big and little ones.
_BIG_CORES = 1


class Connection:
    """An open RPC session on a device, whose kernels run on its ``threads`` fastest cores.

    Attributes:
        rpc: TVM's session.
        facts: what the device says of itself (:func:`device.server.machine.describe_machine`); {}
            where it is not served by ``device/serve.py``.
        kept: what tasks leave for later ones; it is gone with the connection.
    """

    def __init__(self, rpc: RPCSession, threads: int) -> None:
        self.rpc = rpc
        self.kept: dict[str, Any] = {}
        machine = self.get_function("mqnet.machine")
        self.facts: dict[str, Any] = json.loads(machine()) if machine else {}
        # Before anything is computed there: TVM's threads are made once.
        use_cores = self.get_function("mqnet.use_cores")
        if use_cores:
            use_cores(threads)
        else:
            rpc.get_function("runtime.config_threadpool")(_BIG_CORES, threads)

    @property
    def tvm_version(self) -> str | None:
        """Of the device; None where it does not tell."""
        return self.facts.get("versions", {}).get("apache-tvm")

    def get_function(self, name: str) -> Callable[..., Any] | None:
        """Find the device's function called ``name``; None where its server has none."""
        try:
            return self.rpc.get_function(name)
        except AttributeError:
            return None

    def need_function(self, name: str) -> Callable[..., Any]:
        """Find a function that only ``device/serve.py`` offers.

        Raises:
            TargetError: the device is served by another server.
        """
        function = self.get_function(name)
        if function is None:
            self.check_serves_networks()
            raise TargetError("the device has no Python: it is not served by device/serve.py")
        return function

    def check_serves_networks(self) -> None:
        """Raise where the device is served by ``device/server/native``.

        Raises:
            TargetError: so: it runs kernels and nothing else.
        """
        if server := self.facts.get("server"):
            raise TargetError(
                f"the device is served by {server}, which runs single kernels: whole networks, "
                "LiteRT and GPUs need device/serve.py there, or the standalone form (mqnet-run)"
            )

    def device(self, on_gpu: bool) -> tvm.runtime.Device:
        """The device's GPU or its processor, as TVM names them."""
        return self.rpc.cl() if on_gpu else self.rpc.cpu()

    def describe_gpu(self) -> dict[str, Any] | None:
        """What the device says of its GPU (:func:`device.runtime.opencl_device.describe_opencl`);
        None where it cannot be asked."""
        describe = self.get_function("mqnet.opencl")
        return json.loads(describe()) if describe else None

    def why_not(self, needs: TargetNeeds) -> str | None:
        """Say why code with these ``needs`` cannot run on the device, as a clause; None where it
        can, or the device does not tell."""
        if not self.facts:
            return None
        gpu = None if needs.gpu is None else self.describe_gpu()
        features = frozenset(self.facts["features"])
        # device/server/native has a loader of its own.
        is_native = "server" in self.facts
        arch = self.facts["machine"]
        return why_not(needs, MachineFacts(arch, features, gpu, "the device", is_native))

    def answers(self) -> bool:
        """Whether the session still lives."""
        try:
            return self.rpc.get_function("testing.echo") is not None
        except AttributeError:
            return True
        except (RuntimeError, OSError):
            return False

    @contextlib.contextmanager
    def uploaded(self, data: bytes, name: str = "", suffix: str = "") -> Iterator[str]:
        """Put ``data`` into a file of the session's folder, for as long as it is being read; its
        name there.

        Without a ``name`` it is called by its content and ``suffix``: the device's loader goes by
        names, and one that it has loaded means what it has loaded.
        """
        name = name or hashlib.sha256(data).hexdigest() + suffix
        self.rpc.upload(bytearray(data), name)
        try:
            yield name
        finally:
            # A device that is gone has its own troubles, and the first of them is the one to tell.
            with contextlib.suppress(RuntimeError):
                self.rpc.remove(name)

    def load_library(self, library: Path) -> tvm.runtime.Module:
        """Load ``library`` on the device."""
        with self.uploaded(library.read_bytes(), suffix=".so") as name:
            return self.rpc.load_module(name)


def last_line(error: Exception) -> str:
    """What is to be said of an error: TVM puts its stack first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
