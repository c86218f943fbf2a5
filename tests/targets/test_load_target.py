"""Target files: every one loads, agrees with LLVM about itself, and mistakes are named."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console
from tvm.target import Target, codegen

from compile.support.errors import TargetError
from targets.describe_target import (
    describe_target,
    tvm_target,
)
from targets.detect_host import HostMachine, parse_cpuinfo
from targets.load_target import (
    HOST_NAME,
    TARGET_FOLDER,
    list_targets,
    load_target,
    read_host_file,
    read_target_file,
)
from targets.show_targets import describe_targets, print_targets
from targets.spec import Processor, TargetSpec

GPU_TARGETS = [name for name in list_targets() if load_target(name).gpu is not None]
CROSS_TARGETS = [name for name in list_targets() if name not in (HOST_NAME, *GPU_TARGETS)]
HOST_FILE = TARGET_FOLDER / "host.toml"

# LLVM features by which generated code, and not only its tuning, differs.
CODE_FEATURES = {
    *("neon", "dotprod", "fullfp16", "fp16fml", "i8mm", "bf16", "sve", "sve2", "sme"),
    *("rcpc", "rcpc-immo", "lse", "rdm", "jsconv", "complxnum"),
}

AVX2 = "sse4_2 ssse3 popcnt avx f16c fma avx2 bmi1 bmi2"
AVX512 = f"{AVX2} avx512f avx512dq avx512cd avx512bw avx512vl"


def llvm_features(cpu: str, triple: str, mattr: tuple[str, ...] = ()) -> set[str]:
    target = Target({"kind": "llvm", "mtriple": triple, "mcpu": cpu, "mattr": list(mattr)})
    return {str(feature) for feature in codegen.llvm_get_cpu_features(target)}


def features_of(processor: Processor) -> set[str]:
    return llvm_features(processor.cpu, processor.triple, processor.features)


def test_the_targets_that_the_project_promises_are_there():
    promised = {"host", "linux-arm64", "cortex-a55", "cortex-a76", "rpi4", "rk3588"}
    promised |= {"android-arm64", "snapdragon-888", "exynos-990"}
    promised |= {"linux-mali", "android-mali"}
    assert promised <= set(list_targets())
    assert list_targets()[0] == "host"


@pytest.mark.parametrize("name", list_targets())
def test_tvm_takes_every_target(name: str):
    spec = load_target(name)
    whole = tvm_target(spec)
    target = whole if spec.gpu is None else whole.host
    assert target.attrs["mcpu"] == spec.processor.cpu
    assert target.attrs["num-cores"] == spec.threads
    three = tvm_target(spec, threads=3)
    assert (three if spec.gpu is None else three.host).attrs["num-cores"] == 3
    assert codegen.llvm_is_valid_cpu(spec.processor.cpu, spec.processor.triple)
    assert 1 <= spec.threads <= sum(core.count for core in spec.cores)


@pytest.mark.parametrize("name", sorted(set(list_targets()) - {HOST_NAME, "host-opencl"}))
def test_tvm_gets_the_target_that_the_shipped_records_were_measured_for(name: str):
    """Tuning records hold it; those of a target that TVM sees otherwise would no longer fit."""
    pinned = json.loads(Path(__file__).with_name("tvm_targets.json").read_text())
    assert json.loads(str(tvm_target(load_target(name)))) == pinned[name]


def test_what_manifests_hold_of_a_target_keeps_its_keys():
    """Artefacts, run files and session.json of other versions are read by them."""
    plain = [
        *("name", "title", "summary", "triple", "cpu", "features", "cores", "threads"),
        *("vector_bits", "dot_product", "peak_int8_macs", "peak_fp32_macs", "l1d_bytes"),
        *("l2_bytes", "linker", "machine", "variant", "requires", "timing", "opencl"),
    ]
    gpu = [
        *("processor", "work_group", "registers", "vector_bytes", "integer_dot_product"),
        *("fp16", "mesa_gpu"),
    ]
    for described in describe_targets():
        assert list(described) == plain
        assert described["opencl"] is None or list(described["opencl"]) == gpu
    mali = describe_target(load_target("linux-mali"))
    assert mali.opencl.processor == "rk3588" and mali.cpu == "cortex-a76"
    assert mali.variant == "" and mali.timing is None and mali.threads == 1
    timing = describe_target(load_target("cortex-a76")).timing
    assert list(timing) == ["issue_width", "cycles", "line_bytes", "l1d", "l2"]
    assert timing["l2"] == {"size_bytes": 524288, "ways": 8, "miss_cycles": 14.0}


@pytest.mark.parametrize("name", GPU_TARGETS)
def test_a_gpu_has_the_processor_of_another_target(name: str):
    spec = load_target(name)
    assert spec.name == name and spec.variant == "" and spec.timing is None
    target = tvm_target(spec)
    assert target.kind.name == "opencl" and target.host.kind.name == "llvm"
    assert target.attrs["max_num_threads"] == spec.gpu.work_group
    processor = {"linux-mali": "rk3588", "android-mali": "android-arm64", "host-opencl": "host"}
    other = load_target(processor[name])
    assert spec.processor == other.processor


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("work_group = 256", "work_groups = 256", "opencl: unknown key 'work_groups'; did you"),
        ("registers = 64\n", "", "opencl: missing key 'registers'"),
        (
            "registers = 64",
            "registers = 0",
            "'registers' must be a positive integer, not 0",
        ),
        ("fp16 = true", "fp16 = 1", "'fp16' must be true or false, not 1"),
        ("product = true", 'product = "arm"', "'integer_dot_product' must be true or false"),
        ("mesa_gpu = 0xa867", 'mesa_gpu = "G610"', 'must be a positive integer, not "G610"'),
        ('"rk3588"', '"rk3589"', "unknown target 'rk3589'; did you mean rk3588"),
        ('"rk3588"', '"android-mali"', "'processor' android-mali is a GPU"),
        ("[opencl]", "threads = 4\n[opencl]", "unknown key 'threads'"),
    ],
)
def test_mistake_in_a_gpus_file_is_named(tmp_path: Path, old: str, new: str, message: str):
    text = (TARGET_FOLDER / "linux-mali.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert read_target_file(path).gpu.integer_dot_product
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(TargetError) as caught:
        read_target_file(path)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", CROSS_TARGETS)
def test_dot_product_is_what_llvm_will_emit(name: str):
    spec = load_target(name)
    features = features_of(spec.processor)
    assert ("dotprod" in features) == (spec.processor.dot_product in ("sdot", "smmla"))
    assert ("i8mm" in features) == (spec.processor.dot_product == "smmla")


@pytest.mark.parametrize("name", CROSS_TARGETS)
def test_every_core_of_the_chip_runs_the_code(name: str):
    """One library runs on all clusters: the scheduled core may not promise what another lacks."""
    spec = load_target(name)
    promised = features_of(spec.processor) & CODE_FEATURES
    for core in spec.cores:
        if core.name != "armv8-a":
            assert promised <= llvm_features(core.name, spec.processor.triple), core.name


@pytest.mark.parametrize("name", ["linux-arm64", "android-arm64"])
def test_generic_targets_promise_nothing_beyond_armv8(name: str):
    spec = load_target(name)
    promised = features_of(spec.processor) & CODE_FEATURES
    assert promised == {"neon"}


def test_big_little_counts():
    assert [core.count for core in load_target("exynos-990").cores] == [2, 2, 4]
    assert sum(core.count for core in load_target("snapdragon-888").cores) == 8


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adroid-arm64", "did you mean android-arm64"),
        ("cortex-a67", "cortex-a76"),
        ("Host", "did you mean host"),
        ("", "known: host"),
        ("../targets/host", "unknown target"),
    ],
)
def test_unknown_target_names_the_nearest(name: str, message: str):
    with pytest.raises(TargetError, match="unknown target") as caught:
        load_target(name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("vector_bits", "vector_bit", "unknown key 'vector_bit'; did you mean 'vector_bits'"),
        ("threads = 4\n", "", "missing key 'threads'"),
        ("threads = 4", 'threads = "4"', 'must be an integer from 1 to 1024, not "4"'),
        ("threads = 4", "threads = true", "'threads' must be an integer from 1 to 1024, not true"),
        ("threads = 4", "threads = 0", "'threads' must be an integer from 1 to 1024, not 0"),
        ("threads = 4", "threads = 4.0", "'threads' must be an integer from 1 to 1024, not 4.0"),
        ('"sdot"', '"sdott"', "'dot_product' must be one of none, pmaddwd"),
        ('"linux-arm64"', '"linux"', "'linker' must be one of"),
        ('["+neon", "+dotprod"]', '["+neon", 1]', "'features[1]' must be a string, not 1"),
        ('["+neon", "+dotprod"]', '"+neon"', "'features' must be a list of strings, not"),
        (", count = 4 }]", " }]", "cores[0]: missing key 'count'"),
        (
            '[{ name = "cortex-a76", count = 4 }]',
            '["cortex-a76"]',
            "'cores[0]' must be a table",
        ),
        (
            '[{ name = "cortex-a76", count = 4 }]',
            "[]",
            "must be a list of one or more tables",
        ),
        ("threads = 4", "threads = ", "cannot be read"),
        ("threads = 4", "threads = 4\nthreads = 5", "cannot be read"),
    ],
)
def test_mistake_in_a_file_is_named(tmp_path: Path, old: str, new: str, message: str):
    text = (TARGET_FOLDER / "cortex-a76.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert read_target_file(path).name == "mine"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(TargetError) as caught:
        read_target_file(path)
    assert "mine.toml" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("requires = ", "require = ", "unknown key 'require'; did you mean 'requires'"),
        ('"fma"]', "3]", "variant[0]: 'requires[6]' must be a string, not 3"),
        ('summary = "', 'sumary = "', "unknown key 'sumary'"),
    ],
)
def test_mistake_in_the_host_file_is_named(tmp_path: Path, old: str, new: str, message: str):
    path = tmp_path / "host.toml"
    path.write_text(HOST_FILE.read_text().replace(old, new, 1))
    with pytest.raises(TargetError) as caught:
        read_target_file(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arch", "family", "flags", "variant", "dot_product"),
    [
        ("x86_64", "AuthenticAMD 25", AVX2, "avx2", "pmaddwd"),
        ("x86_64", "AuthenticAMD 25", f"{AVX512} avx512_vnni", "avx512-vnni-zen4", "vnni"),
        ("x86_64", "AuthenticAMD 26", f"{AVX512} avx512_vnni", "avx512-vnni", "vnni"),
        ("x86_64", "GenuineIntel 6", f"{AVX512} avx512_vnni", "avx512-vnni", "vnni"),
        ("x86_64", "GenuineIntel 6", AVX512, "avx512bw", "pmaddwd"),
        ("x86_64", "GenuineIntel 6", f"{AVX2} avx_vnni", "avx-vnni", "vnni"),
        # AVX2 without FMA, as a few emulators report, is not enough for the AVX2 kernels.
        ("x86_64", "GenuineIntel 6", "sse4_2 ssse3 popcnt avx avx2", "sse4", "pmaddwd"),
        ("aarch64", "", "fp asimd", "neon", "smlal"),
        ("aarch64", "", "fp asimd asimddp", "dotprod", "sdot"),
        ("aarch64", "", "fp asimd asimddp i8mm sve", "i8mm", "smmla"),
    ],
)
def test_host_variant_follows_the_flags(
    arch: str, family: str, flags: str, variant: str, dot_product: str
):
    machine = HostMachine(arch=arch, flags=frozenset(flags.split()), cpu_family=family, cores=3)
    spec = read_host_file(HOST_FILE, machine)
    assert (spec.variant, spec.processor.dot_product) == (variant, dot_product)
    assert spec.threads == 3
    assert spec.machine == {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}[arch]
    has_many = arch == "aarch64" or "avx512f" in flags
    assert spec.processor.vector_registers == (32 if has_many else 16)
    # The caches of the variant stand in where the machine does not tell.
    assert 0 < spec.processor.l1d_bytes < spec.processor.l2_bytes
    if arch == "aarch64":
        features = features_of(spec.processor)
        assert ("dotprod" in features) == ("asimddp" in flags)
        assert ("i8mm" in features) == ("i8mm" in flags)


def test_host_without_any_variant():
    for arch, flags in [("x86_64", "sse2"), ("riscv64", "asimd"), ("aarch64", "")]:
        with pytest.raises(TargetError, match="no variant in host.toml fits"):
            read_host_file(HOST_FILE, HostMachine(arch=arch, flags=frozenset(flags.split())))


def test_features_that_a_hypervisor_hides_are_not_used():
    """LLVM names the CPU by its family; what the machine does not show must not be emitted."""
    machine = HostMachine(arch="x86_64", flags=frozenset(AVX2.split()), cores=1)
    features = llvm_features(read_host_file(HOST_FILE, machine).processor.cpu, "x86_64-linux-gnu")
    assert not {feature for feature in features if feature.startswith("avx512")}


def test_flags_are_those_of_the_least_core():
    cpuinfo = (
        "processor\t: 0\nFeatures\t: fp asimd asimddp\n\n"
        "processor\t: 1\nFeatures\t: fp asimd asimddp i8mm\n"
    )
    machine = parse_cpuinfo(cpuinfo, arch="aarch64", cores=2)
    assert machine.flags == {"fp", "asimd", "asimddp"}
    assert parse_cpuinfo("", arch="x86_64", cores=1).flags == frozenset()


def test_host_counts_the_cores_it_may_use():
    allowed = os.sched_getaffinity(0)
    assert load_target("host").threads == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert load_target("host").threads == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_table_and_json_hold_every_target():
    console = Console(file=io.StringIO(), width=120)
    print_targets(console)
    table = console.file.getvalue()
    described = json.loads(json.dumps(describe_targets()))
    assert [target["name"] for target in described] == list(list_targets())
    for target in described:
        assert target["name"] in table
    assert "4x cortex-a55" in table and "snapdragon-888" in table


def test_spec_is_frozen():
    for part in (load_target("rpi4"), load_target("rpi4").processor):
        with pytest.raises(AttributeError, match="immutable"):
            part.name = "rpi5"


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("threads = 4", "threads = 100000", "an integer from 1 to 1024"),
        ("count = 4", "count = 5000", "an integer from 1 to 1024"),
        ("l1d_bytes = 65536", "l1d_bytes = 1", "an integer from 4096 to 16777216"),
        ("l2_bytes = 524288", "l2_bytes = 1", "an integer from 16384 to 1073741824"),
        ("vector_bits = 128", "vector_bits = 100", "2048 that is a multiple of 64"),
        ("vector_registers = 32", "vector_registers = 1", "an integer from 4 to 256"),
        ("peak_int8_macs = 32", "peak_int8_macs = 99999999", "an integer from 1 to 65536"),
    ],
)
def test_absurd_numbers(tmp_path: Path, old: str, new: str, allowed: str):
    text = (TARGET_FOLDER / "cortex-a76.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(TargetError, match=rf"mine\.toml.*{old.split()[0]}' must be.*{allowed}"):
        load_target(str(path))


def test_a_broken_file_leaves_the_others_in_the_table(monkeypatch: pytest.MonkeyPatch):
    def load(name: str) -> TargetSpec:
        if name == "rpi4":
            raise TargetError("rpi4.toml: missing key 'cpu'")
        return load_target(name)

    monkeypatch.setattr("targets.show_targets.load_target", load)
    described = {one["name"]: one for one in describe_targets()}
    assert described["rpi4"]["mistake"] == "rpi4.toml: missing key 'cpu'"
    assert set(described) == set(list_targets()) and "threads" in described["rk3588"]
    console = Console(file=io.StringIO(), width=200)
    print_targets(console)
    assert "missing key 'cpu'" in console.file.getvalue() and "rk3588" in console.file.getvalue()
