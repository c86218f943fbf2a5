"""The host's instruction sets: one of those that it has may be chosen."""

from __future__ import annotations

import os

import pytest

from compile.support.errors import TargetError
from targets.detect_host import HostMachine
from targets.load_target import (
    TARGET_FOLDER,
    load_target,
    read_host_file,
    target_name,
    with_instruction_set,
)

HOST_FILE = TARGET_FOLDER / "host.toml"
AVX2 = "sse4_2 ssse3 popcnt avx f16c fma avx2 bmi1 bmi2"
AVX512 = f"{AVX2} avx512f avx512dq avx512cd avx512bw avx512vl"


def test_an_instruction_set_is_chosen_of_those_that_the_machine_has():
    """Also one that another kind of core is named by; code is for the plain core, not this one."""
    flags = frozenset(f"{AVX512} avx512_vnni".split())
    machine = HostMachine(arch="x86_64", flags=flags, cpu_family="GenuineIntel 6", cores=3)
    for name, cpu in [("avx2", "x86-64-v3"), ("sse4", "x86-64-v2"), ("avx512bw", "x86-64-v4")]:
        spec = read_host_file(HOST_FILE, machine, name)
        assert (spec.name, spec.variant, spec.processor.cpu) == ("host", name, cpu)
        assert spec.threads == 3 and "avx512_vnni" not in spec.requires
    assert read_host_file(HOST_FILE, machine, "avx512-vnni-zen4").peak_int8_macs == 64


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("avx3", "unknown instruction set 'avx3'; did you mean avx2"),
        ("altivec", "unknown instruction set 'altivec'; this machine has avx2, sse4"),
        ("avx512bw", "needs avx512bw, avx512cd, avx512dq, avx512f, avx512vl, which this machine"),
        ("neon", "instruction set neon is of aarch64, not of x86_64; this machine has avx2, sse4"),
    ],
)
def test_an_instruction_set_that_cannot_be_chosen(name: str, message: str):
    machine = HostMachine(arch="x86_64", flags=frozenset(AVX2.split()), cores=1)
    with pytest.raises(TargetError, match=message):
        read_host_file(HOST_FILE, machine, name)


def test_a_chosen_instruction_set_is_part_of_the_targets_name():
    assert with_instruction_set("cortex-a76", None) == "cortex-a76"
    least = {"x86_64": "sse4", "aarch64": "neon"}[os.uname().machine]
    name = with_instruction_set("host", least)
    assert load_target(name).variant == least
    assert target_name(name) == f"host-{least}"
    with pytest.raises(TargetError, match="cannot be chosen for target cortex-a76"):
        with_instruction_set("cortex-a76", "neon")
