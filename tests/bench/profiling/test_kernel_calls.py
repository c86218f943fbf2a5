"""The kernel calls of a frame: all of them, what they compute, and the machine's own limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import x86_only
from fixtures_artefacts import SIZE, ArtefactFactory

from bench.peers.peer_files import peer_file
from bench.profiling.families import litert_families, seconds_by_family
from bench.profiling.join_calls import join_calls, kernels_of
from bench.profiling.litert_profile import profile_litert, seconds_by_type
from bench.session.clock import measure_this_core
from compile.kernels.families import kinds_by_family
from compile.support.frame import frame_of
from device.runtime.run_artefact import Session
from device.server.kernel_calls import time_calls
from targets.load_target import load_target

pytestmark = x86_only


def test_every_call_of_a_frame(artefact: ArtefactFactory):
    built = artefact()
    network = Session(built, 1).network
    network.set_inputs(frame_of(np.zeros((*SIZE, 3), np.uint8)))
    calls = join_calls(built, time_calls(network, kernels_of(built), frames=3, warm_up=1))
    whole = built.manifest.whole
    assert len(calls) == whole.ops
    assert sum(call.macs for call in calls) == whole.macs
    named = [(call.kernel, call.layers) for call in built.manifest.calls]
    assert [(call.name, call.layers) for call in calls] == named
    assert all(call.seconds > 0 for call in calls)
    assert {call.schedule for call in calls} <= {"built-in", "record"}
    stem = next(call for call in calls if call.macs)
    assert stem.layers == ("net.backbone.encoder.stem.conv",)
    assert stem.inputs[0] == "64x96x3" and stem.output == "32x48x16 int8"
    # The picture, 3x3x3x16 weights, biases and multipliers of 16 channels, what is written.
    assert stem.moved_bytes >= 64 * 96 * 3 + 432 + 32 * 48 * 16
    assert stem.moved_bytes < 64 * 96 * 3 + 432 + 32 * 48 * 16 + 1024
    assert calls[-1].output == "64x96x3 float32"


def test_a_frame_computes_the_same_while_it_is_observed(artefact: ArtefactFactory):
    session = Session(artefact(), 1)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    before, _ = session.run(image)
    seen: list[str] = []
    session.network.run_observed(lambda name, begins, device, arguments: seen.append(name))
    after, _ = session.run(image)
    assert np.array_equal(before, after)
    count = len(seen)
    session.run(image)
    assert len(seen) == count


def test_limits_are_those_of_a_machine_of_this_time():
    """A clock that is off by the ten steps that LLVM once folded into one would be found out."""
    limits = measure_this_core(load_target("host"))
    assert 0.8e9 < limits.clock_hz < 7e9
    assert 0.5e9 < limits.copy_bytes_per_second < 1e12


SUMMARY = """
                Delegate/Convolution (NHWC, F32) IGEMM    1  5.384  29.790%  29.790%  0.0  20

===================================== Delegate Statistics =====================================
Op Name                                           Count    Avg(us)    Min(us)    Max(us)  Total(us)
Delegate/Convolution (NHWC, F32) IGEMM               20    5383.95       2970      26934     107679
Delegate/Fully Connected (NC, QS8, QC8W) GEMM      1100      82.43          0       5948      90671
Delegate/Static Reshape (NC)                        240       0.00          0          0          0

Timings (microseconds): count=165 curr=361466
"""


def test_litert_summary_by_hand():
    assert seconds_by_type(SUMMARY, 20) == pytest.approx(
        {
            "Delegate/Convolution (NHWC, F32) IGEMM": 0.107679 / 20,
            "Delegate/Fully Connected (NC, QS8, QC8W) GEMM": 0.090671 / 20,
            "Delegate/Static Reshape (NC)": 0,
        }
    )


def test_litert_profiles_its_network():
    """The head's 3x3 convolution in float is there, and far from all; each operator is of a kind
    that our kernels have."""
    types = profile_litert(peer_file("litert-mixed-256x256.tflite"), 3)
    spatial = types["Delegate/Convolution (NHWC, F32) IGEMM"]
    assert 0.02 < spatial / sum(types.values()) < 0.8
    assert 1e-3 < sum(types.values()) < 5
    kinds = litert_families(types)
    assert sum(kinds.values()) == pytest.approx(sum(types.values()))
    assert kinds.keys() == {
        *("1x1 convolution", "3x3 convolution", "depthwise convolution"),
        *("copies", "elementwise", "means"),
    }
    assert litert_families({"Delegate/Softmax (NC)": 1.0}) == {"Delegate/Softmax (NC)": 1.0}


def test_every_family_of_ours_is_of_a_kind(artefact: ArtefactFactory):
    built = {kernel.family for kernel in artefact().manifest.kernels}
    families = {*built, *kinds_by_family()}
    assert seconds_by_family((family, 1) for family in families).keys() <= {
        *("1x1 convolution", "3x3 convolution", "dense convolution", "depthwise convolution"),
        *("grouped convolution", "inverted residual", "copies", "elementwise", "means", "pooling"),
        *("reductions", "3x3 and 1x1 convolution"),
    }
    assert seconds_by_family([("winograd", 2), ("winograd", 3)]) == {"winograd": 5}


def test_litert_profile_of_no_network(tmp_path: Path):
    (tmp_path / "empty.tflite").write_bytes(b"")
    with pytest.raises(RuntimeError, match="LiteRT's profiler failed"):
        profile_litert(tmp_path / "empty.tflite", 1)
