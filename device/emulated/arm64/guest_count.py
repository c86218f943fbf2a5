"""Counts the instructions of one frame on the emulated board; executed by the board's own Python.

Needs QEMU with the plugin of `count_instructions.c`. Only what the board's root holds may be
imported, and of this project what a board runs anyway. Arguments: engine, network (its .so or
.tflite), frame.npz (inputs in order), counts.json; for the engine "tvm-calls" also what to do with
each kernel call in order, as letters.
"""

import ctypes
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

# The script's own folder is all that Python looks into by itself.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

_READ_COUNTERS, _WATCH = map(ctypes.c_long, (0x7F01, 0x7F02))
# No function begins there: only the caches are followed.
_NO_FUNCTION = ctypes.c_void_p(-1)
_COUNTERS = 7
# What is done with a kernel call: nothing; it runs, so that the caches hold what it leaves; it is
# counted.
SKIP, RUN, COUNT = "s", "r", "c"
# Python 3.11 rewrites byte code in its first executions: after these it costs the same each time.
_WARM_UP = 32


class NoPlugin(Exception):
    """The system call was not answered."""


def counted(function: Callable[..., object], *arguments: object) -> list[int]:
    """What a call executes: all, NEON and floating point, loads and stores, dot products; then
    thousandths of cycles, and lines missed in the caches, all 0 without a model of the core."""
    before, after = (ctypes.c_uint64 * _COUNTERS)(), (ctypes.c_uint64 * _COUNTERS)()
    system_call(_READ_COUNTERS, before)
    function(*arguments)
    system_call(_READ_COUNTERS, after)
    if not before[0]:
        raise NoPlugin("nobody counts here: QEMU runs without count_instructions.c")
    return [last - first for first, last in zip(before, after, strict=True)]


system_call = ctypes.CDLL(None).syscall


def minus(counts: list[int], others: list[int]) -> list[int]:
    """Each count less the other."""
    return [one - other for one, other in zip(counts, others, strict=True)]


def count_frame(run: Callable[[], object]) -> list[int]:
    """The second frame: the first one takes memory and packs weights."""
    run()
    for _ in range(_WARM_UP):
        empty = counted(lambda: None)
    return minus(counted(run), empty)


def count_litert(network: str, frame: tuple) -> dict:
    """A frame of LiteRT's, as `bench/latency.py` times it."""
    from device.server.litert_file import LiteRTFile

    engine = LiteRTFile(Path(network), 1)
    engine.set_inputs(frame)
    return {"frame": count_frame(engine.run), "kernels": []}


def count_standalone(network: str, frame: tuple) -> dict:
    """A frame of the standalone form, called as a program would call it."""
    from device.runtime.standalone_network import StandaloneNetwork

    library = Path(network)
    engine = StandaloneNetwork(library.parent, library.stem.removeprefix("lib"), 1)
    engine.set_inputs(frame)
    return {"frame": count_frame(engine.run), "kernels": []}


def load_tvm(network: str) -> tuple:
    """The virtual machine of a build, and its device."""
    import tvm
    import tvm_ffi
    from tvm.runtime import vm

    # Neither is loaded by itself: some packed functions live in one, testing.nop in the other.
    for package, name in (tvm, "libtvm_runtime_extra.so"), (tvm_ffi, "libtvm_ffi_testing.so"):
        assert package.__file__ is not None
        library = Path(package.__file__).parent / "lib" / name
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    device = tvm.cpu()
    return vm.VirtualMachine(tvm.runtime.load_module(network), device), device


def count_tvm(network: str, frame: tuple) -> dict:
    """A frame without the instrument, then each of its kernel calls by the instrument."""
    import tvm

    machine, device = load_tvm(network)
    main = machine["main"]
    tensors = [tvm.runtime.tensor(tensor, device) for tensor in frame]
    whole = count_frame(lambda: main(*tensors))
    found = CallCounter()
    machine.set_instrument(found.call)
    main(*tensors)
    return {"frame": whole, "kernels": found.kernels}


def count_tvm_calls(network: str, frame: tuple, todo: str) -> dict:
    """Of a second frame those kernel calls that ``todo`` says to count, in place of the others
    zeros. What is skipped is no call, and its result whatever is in memory."""
    import tvm

    machine, device = load_tvm(network)
    main = machine["main"]
    tensors = [tvm.runtime.tensor(tensor, device) for tensor in frame]
    # The first one takes memory.
    for each in todo.replace(COUNT, RUN), todo:
        found = CallCounter(each)
        machine.set_instrument(found.call)
        main(*tensors)
    return {"frame": [0] * _COUNTERS, "kernels": found.kernels}


class CallCounter:
    """An instrument of TVM's virtual machine that counts kernel calls: all, or as ``todo`` says."""

    def __init__(self, todo: str | None = None) -> None:
        import tvm
        from tvm.runtime import vm

        self.kernels: list = []
        self._todo, self._kinds = todo, vm.VMInstrumentReturnKind
        # It takes any arguments and does nothing: its call costs what a kernel's call costs.
        self._nothing = tvm.get_global_func("testing.nop")

    def call(
        self,
        function: Callable[..., object],
        name: str,
        before: bool,
        _: object,
        *arguments: object,
    ) -> int:
        """Call the kernel itself, so that nothing lies between the two counts but the call."""
        if not before or name.startswith("vm."):
            return self._kinds.NO_OP
        todo = COUNT if self._todo is None else self._todo[len(self.kernels)]
        if todo != COUNT:
            self.kernels.append([name, [0] * _COUNTERS])
            return self._kinds.SKIP_RUN if todo == SKIP else self._kinds.NO_OP
        self._nothing(*arguments)
        empty = counted(self._nothing, *arguments)
        self.kernels.append([name, minus(counted(function, *arguments), empty)])
        return self._kinds.SKIP_RUN


ENGINES: dict[str, Callable[..., dict]] = {
    "tvm": count_tvm,
    "tvm-calls": count_tvm_calls,
    "tvm-standalone": count_standalone,
    "litert": count_litert,
}


def main() -> None:
    """Count the frame that the command line names."""
    engine, network, inputs, counts, *todo = sys.argv[1:]
    # A collection would fall into one of the counts.
    gc.disable()
    with np.load(inputs) as file:
        frame = tuple(file.values())
    system_call(_WATCH, _NO_FUNCTION)
    Path(counts).write_text(json.dumps(ENGINES[engine](network, frame, *todo)))


if __name__ == "__main__":
    main()
