"""Runs one function of a library on the emulated board; executed by the board's own Python.

Only what the board's root holds may be imported: a runtime-only TVM and numpy, nothing of this
project. Arguments: library, function, inputs.npz, outputs.npz.
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


def main() -> None:
    """Run the function that the command line names on the arrays of one .npz, into another."""
    library, function, inputs_path, outputs_path = sys.argv[1:]
    # A runtime-only TVM does not load this part by itself; some packed functions live in it.
    extra = Path(tvm.__file__).parent / "lib" / "libtvm_runtime_extra.so"
    if extra.exists():
        ctypes.CDLL(str(extra), ctypes.RTLD_GLOBAL)
    device = tvm.cpu()
    with np.load(inputs_path) as inputs:
        arguments = {key: tvm.runtime.tensor(inputs[key], device) for key in inputs.files}
    machine = vm.VirtualMachine(tvm.runtime.load_module(library), device)
    if all(key.startswith("arr_") for key in arguments):
        outputs = flatten(machine[function](*arguments.values()))
    else:
        machine.set_input(function, **arguments)
        machine.invoke_stateful(function)
        outputs = flatten(machine.get_outputs(function))
    np.savez(outputs_path, *outputs)


if __name__ == "__main__":
    main()
