"""Runs one kernel call of a build alone and says how far its result is from what is wanted.

It stands in a folder with what it needs, and needs TVM and NumPy: python run_call.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tvm


def main() -> None:
    """Exit code 1 where the result is not what is wanted."""
    folder = Path(__file__).parent
    call = json.loads((folder / "call.json").read_text())
    with np.load(folder / "call.npz") as file:
        arrays = [file[f"argument_{index}"] for index in range(call["arguments"])]
        wanted = file["wanted"]
    module = tvm.runtime.load_module(str((folder / call["library"]).absolute()))
    kernel = module.get_function(call["kernel"], True)
    device = tvm.device(call["device"])
    arguments = [tvm.runtime.tensor(array, device) for array in arrays]
    kernel(*arguments)
    device.sync()
    found = arguments[call["result"]].numpy()
    difference = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    wrong = np.argwhere(difference > (0 if wanted.dtype.kind in "iub" else 1e-4))
    print(f"kernel {call['kernel']}, which computes {', '.join(call['layers'])}")
    print(f"{len(wrong)} of {wanted.size} values differ, by {difference.max():g} at most")
    for place in wrong[:5].tolist():
        print(f"{place}: {found[tuple(place)]} instead of {wanted[tuple(place)]}")
    sys.exit(bool(len(wrong)))


if __name__ == "__main__":
    main()
