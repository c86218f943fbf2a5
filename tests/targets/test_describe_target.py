"""What others are told of a target."""

from __future__ import annotations

import pytest

from targets.describe_target import (
    describe_instructions,
    describe_target,
    described_processor,
    tvm_target,
)
from targets.load_target import list_targets, load_target


def test_instructions_are_those_that_the_shipped_logs_name():
    for name in ("rk3588", "cortex-a76"):
        assert describe_instructions(load_target(name)) == "EM_AARCH64 sdot 128"
    assert describe_instructions(load_target("linux-mali")) == "OpenCL dot product 128"
    assert describe_instructions(load_target("android-mali")) == "OpenCL none 128"


@pytest.mark.parametrize("name", list_targets())
def test_a_manifest_is_enough_to_compile_for_the_processor(name: str):
    """A build for a target file of the user's outlives the file."""
    spec = load_target(name)
    described = described_processor(describe_target(spec))
    assert described.gpu is None and described.machine == spec.machine
    assert described.linker == spec.linker and described.requires == spec.requires
    beside = load_target(spec.processor.name)
    assert str(tvm_target(described, 1)) == str(tvm_target(beside, 1))
