"""Runs functions of a library on the emulated board; executed by the board's own Python.

Only what the board's root holds may be imported: a runtime-only TVM and numpy, nothing of this
project. Arguments: library, folder, functions. The inputs of the first are in 0.npz of the folder
and its outputs go to 0-out.npz, those of the second are in 1.npz, and so on.
"""

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm.runtime import vm


def flatten(value: Any) -> list[np.ndarray]:
    """The tensors of a result in order, however deep its tuples are."""
    if hasattr(value, "numpy"):
        return [value.numpy()]
    return [array for item in value for array in flatten(item)]


def call(machine: vm.VirtualMachine, function: str, inputs_path: Path) -> list[np.ndarray]:
    """The results of the function on the arrays of one .npz."""
    with np.load(inputs_path) as inputs:
        arguments = {key: tvm.runtime.tensor(inputs[key], tvm.cpu()) for key in inputs.files}
    if all(key.startswith("arr_") for key in arguments):
        return flatten(machine[function](*arguments.values()))
    machine.set_input(function, **arguments)
    machine.invoke_stateful(function)
    return flatten(machine.get_outputs(function))


def main() -> None:
    """Run the functions that the command line names."""
    library, folder, *functions = sys.argv[1:]
    # A runtime-only TVM does not load this part by itself; some packed functions live in it.
    extra = Path(tvm.__file__).parent / "lib" / "libtvm_runtime_extra.so"
    if extra.exists():
        ctypes.CDLL(str(extra), ctypes.RTLD_GLOBAL)
    machine = vm.VirtualMachine(tvm.runtime.load_module(library), tvm.cpu())
    for number, function in enumerate(functions):
        outputs = call(machine, function, Path(folder, f"{number}.npz"))
        np.savez(Path(folder, f"{number}-out.npz"), *outputs)


if __name__ == "__main__":
    main()
