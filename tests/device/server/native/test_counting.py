"""Calls counted on an EMULATED arm64 by the native server, as device/serve.py has them counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tvm
from command_line import needs_lld
from fixtures_native_server import Start, close
from native_kernels import build_kernels
from tvm.error import RPCError

from device.emulated.arm64.board_core import board_core
from device.emulated.arm64.counting_plugin import counting_plugin
from targets.load_target import load_target

SPEC = load_target("cortex-a76")


@needs_lld
def test_counts(start_native: Start, tmp_path: Path) -> None:
    library = build_kernels("cortex-a76", tmp_path / "kernels.so")
    plugin = ",".join([str(counting_plugin(tmp_path)), *SPEC.timing.plugin_options()])
    core = board_core(SPEC.processor.cpu).model
    with start_native(arch="aarch64", emulator=["-cpu", core, "-plugin", plugin]) as server:
        session = server.connect()
        session.upload(str(library))
        count = session.get_function("mqnet.count_call")
        session.get_function("mqnet.use_cores")(1)
        tensors = [
            tvm.runtime.tensor(np.ones(shape, dtype), session.cpu())
            for shape, dtype in (
                ((1, 10, 10, 16), "int8"),
                ((3, 3, 16, 8), "int8"),
                ((1, 8, 8, 8), "int32"),
            )
        ]
        one, other = (json.loads(count("kernels.so", "convolution", *tensors)) for _ in range(2))
        assert one["calls"] == 3 and one["instructions"] == other["instructions"]
        # At least an instruction for 16 products, at most some for each, of plain loops.
        assert 8 * 8 * 8 * 144 / 16 < one["instructions"] < 8 * 8 * 8 * 144 * 8
        assert 0 < one["load_store"] < one["instructions"] and one["millicycles"] > 0
        with pytest.raises(RPCError, match="no such function"):
            count("kernels.so", "subtraction", *tensors)
        close(session)


def test_nobody_counts(start_native: Start, tmp_path: Path) -> None:
    library = build_kernels("host", tmp_path / "kernels.so")
    with start_native() as server:
        session = server.connect()
        session.upload(str(library))
        tensors = [tvm.runtime.tensor(np.ones(1000, "float32"), session.cpu()) for _ in range(3)]
        with pytest.raises(RPCError, match="nobody counts here"):
            session.get_function("mqnet.count_call")("kernels.so", "addition", *tensors)
        close(session)
