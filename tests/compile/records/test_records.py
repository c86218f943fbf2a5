"""Records: stock MetaSchedule reads them, builds use the best, and a log can be made smaller."""

from __future__ import annotations

from pathlib import Path

import pytest
import tvm
from tvm.s_tir.meta_schedule.database import JSONDatabase, Workload

from compile.backends.backend_for import cpu_core
from compile.graph.schedule_attrs import BUILT_IN, RECORD, schedule_origin
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.cpu.plain.elementwise import create_add
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.families import families_of
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.apply_tuning_records import apply_tuning_records
from compile.records.log_folder import locked_log
from compile.records.records import (
    RECORDS,
    WORKLOADS,
    compact,
    fitting,
    read_database,
    write_database,
)
from compile.records.session_file import DeviceFacts, SessionFile, TunedKernel
from compile.records.tuning_log import TuningLog
from compile.records.workload import kernel_of, short_line
from compile.search.candidate import (
    all_configurations,
    configuration_numbers,
    configuration_of,
    configuration_text,
    scheduled,
)
from compile.search.kernel_task import KernelTask, kernel_task
from compile.search.record_writer import RecordWriter
from compile.support.errors import TargetError
from targets.describe_target import tvm_target
from targets.load_target import load_target

HOST = load_target("host")
UNIT = cpu_core(HOST, 2)
TARGET = tvm_target(HOST, 2)
BIAS = ConvEpilogue(EpilogueKind.BIAS)


def conv_task(width: int = 12) -> KernelTask:
    kernel = create_pointwise((1, 8, width, 5), 24, "float32", "float32", BIAS)
    return kernel_task("conv", "pointwise", kernel, inputs=3)


def add_task() -> KernelTask:
    return kernel_task("add", "elementwise", create_add((1, 8, 8, 64), (1, 8, 8, 64)), inputs=4)


def choices(task: KernelTask) -> list[str]:
    return all_configurations(task.family, task.load(), UNIT)[1]


def writer_of(folder: Path, kernels: dict[str, TunedKernel] | None = None) -> RecordWriter:
    """What adds to the records in ``folder``."""
    session = SessionFile(
        target="host",
        device=DeviceFacts(None, None, None, None, None, "0.27"),
        kernels=kernels or {},
        failed={},
        dropped={},
        sessions=[],
    )
    return RecordWriter(TuningLog(folder, session, read_database(folder)), UNIT, TARGET)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three choices of one kernel, of which the second is the best, and two of another."""
    writer = writer_of(tmp_path)
    conv, add = conv_task(), add_task()
    for choice, seconds in zip(choices(conv)[:3], (3e-6, 1e-6, 2e-6), strict=True):
        writer.add(conv, choice, (seconds * 0.9, seconds * 1.1))
    for choice, seconds in zip(choices(add)[:2], (1e-6, 2e-6), strict=True):
        writer.add(add, choice, (seconds,))
    return tmp_path


def test_choices_are_their_text() -> None:
    task = conv_task()
    family = families_of(UNIT.device)[task.family]
    for text in choices(task):
        assert configuration_text(configuration_of(family, text)) == text
    assert configuration_numbers("pixels=4 rows=12") == {"pixels": 4, "rows": 12}


def test_what_is_written_is_read(folder: Path) -> None:
    conv, add = conv_task(), add_task()
    log = read_database(folder)
    assert [str(key) for key, _ in log.workloads] == [conv.key, add.key]
    measured = log.measured(conv.key)
    assert list(measured) == choices(conv)[:3]
    assert list(measured.values()) == pytest.approx([3e-6, 1e-6, 2e-6])
    assert log.best(conv.key).choice == choices(conv)[1]
    assert log.best("unknown") is None


def test_stock_database_reads_them(folder: Path) -> None:
    database = JSONDatabase(str(folder / WORKLOADS), str(folder / RECORDS), allow_missing=False)
    assert len(database) == 5
    conv = conv_task()
    record = database.query_tuning_record(conv.load(), TARGET, "main")
    assert [float(seconds) for seconds in record.run_secs] == pytest.approx([0.9e-6, 1.1e-6])
    assert len(record.args_info) == 4
    replayed = database.query_schedule(conv.load(), TARGET, "main")
    expected = scheduled(conv.family, conv.load(), UNIT, choices(conv)[1])
    tvm.ir.assert_structural_equal(replayed.mod, expected.mod)


def test_builds_use_the_best(folder: Path) -> None:
    conv = create_pointwise((1, 8, 12, 5), 24, "float32", "float32", BIAS)
    other = create_pointwise((1, 8, 20, 5), 24, "float32", "float32", BIAS)
    module = tvm.IRModule({"conv": conv, "other": other})
    after = apply_default_schedule(UNIT)(apply_tuning_records(folder, TARGET)(module))
    assert schedule_origin(after["conv"]) == RECORD
    assert schedule_origin(after["other"]) == BUILT_IN
    expected = scheduled("pointwise", conv_task().load(), UNIT, choices(conv_task())[1])
    tvm.ir.assert_structural_equal(after["conv"].body, expected.mod["main"].body, True)


def test_records_that_no_longer_fit_are_passed_over(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As where an intrinsic has changed since: here, the best record's names a block that is not
    there; the kernel of the other two lines has no record that fits."""
    lines = (folder / RECORDS).read_text().splitlines()
    lines[1] = lines[1].replace("epilogue", "missing")
    lines[3:] = [line.replace('"root"', '"missing"') for line in lines[3:]]
    (folder / RECORDS).write_text("\n".join(lines) + "\n")
    conv = create_pointwise((1, 8, 12, 5), 24, "float32", "float32", BIAS)
    add = create_add((1, 8, 8, 64), (1, 8, 8, 64))
    module = tvm.IRModule({"conv": conv, "add": add})
    after = apply_default_schedule(UNIT)(apply_tuning_records(folder, TARGET)(module))
    second = scheduled("pointwise", conv_task().load(), UNIT, choices(conv_task())[2])
    tvm.ir.assert_structural_equal(after["conv"].body, second.mod["main"].body, True)
    assert schedule_origin(after["add"]) == BUILT_IN
    (message,) = caplog.messages
    assert message.startswith("1 kernels in ") and "tune them again" in message
    writer = writer_of(folder)
    assert writer.known(add_task()) == {} and writer.known(conv_task()) == {}
    left = fitting(read_database(folder)).by_kernel
    assert [len(records) for records in left.values()] == [2, 0]


def test_writer_goes_on_with_what_is_there(folder: Path) -> None:
    conv, wide = conv_task(), conv_task(20)
    writer = writer_of(folder)
    writer.add(conv, choices(conv)[3], (0.5e-6,))
    writer.add(wide, choices(wide)[0], (0.5e-6,))
    log = read_database(folder)
    assert [str(key) for key, _ in log.workloads] == [conv.key, add_task().key, wide.key]
    assert log.best(conv.key).choice == choices(conv)[3]
    assert log.measured(wide.key) == {choices(wide)[0]: pytest.approx(0.5e-6)}


def test_compact_keeps_the_best_and_what_has_to_stay(folder: Path) -> None:
    conv, add = conv_task(), add_task()
    smaller = compact(read_database(folder), 1, {conv.key: choices(conv)[0], add.key: "other"})
    write_database(folder, smaller.database)
    again = read_database(folder)
    assert set(again.measured(conv.key)) == set(choices(conv)[:2])
    assert set(again.measured(add.key)) == set(choices(add)[:1])
    assert smaller.dropped == {conv.key: [choices(conv)[2]], add.key: [choices(add)[1]]}
    assert not smaller.settled
    assert len(JSONDatabase(str(folder / WORKLOADS), str(folder / RECORDS))) == 3


def test_compact_keeps_nothing_of_a_kernel_whose_builtin_choice_is_the_best(folder: Path) -> None:
    conv, add = conv_task(), add_task()
    smaller = compact(read_database(folder), 1, {conv.key: choices(conv)[1]})
    assert smaller.settled == {conv.key: pytest.approx(1e-6)}
    write_database(folder, smaller.database)
    again = read_database(folder)
    assert [str(key) for key, _ in again.workloads] == [add.key] == list(again.by_kernel)
    assert len(JSONDatabase(str(folder / WORKLOADS), str(folder / RECORDS))) == 1
    # The next session knows it all the same, and its records tell builds so.
    writer = writer_of(folder, {conv.key: TunedKernel("", "", choices(conv)[1], seconds=1e-6)})
    assert writer.known(conv) == {choices(conv)[1]: 1e-6}
    writer.add(conv, choices(conv)[5], (3e-6,))
    assert read_database(folder).measured(conv.key) == {
        choices(conv)[1]: pytest.approx(1e-6),
        choices(conv)[5]: pytest.approx(3e-6),
    }


def test_records_can_be_taken_out(folder: Path) -> None:
    conv, add = conv_task(), add_task()
    writer = writer_of(folder)
    writer.take_out({conv.key: choices(conv)[:3], add.key: [choices(add)[1], "other"]})
    log = read_database(folder)
    assert [str(key) for key, _ in log.workloads] == [add.key]
    assert list(log.measured(add.key)) == choices(add)[:1]
    writer.add(conv, choices(conv)[4], (1e-6,))
    assert list(read_database(folder).measured(conv.key)) == [choices(conv)[4]]


def test_kernels_are_written_without_white_space(folder: Path) -> None:
    for line in read_database(folder).workloads:
        text = kernel_of(line)
        whole = Workload(text).as_json()
        assert str(whole[0]) == line[0] and len(str(whole[1])) > 1.5 * len(line[1])
        assert short_line(whole) == line


@pytest.mark.parametrize("ended_behind", ["nothing", "kernels", "records", "first name"])
def test_log_that_is_replaced_is_the_old_or_the_new_one(folder: Path, ended_behind: str) -> None:
    """Whatever moment the one who replaces it is ended at."""
    old, files = read_database(folder), (WORKLOADS, RECORDS)
    before = {name: (folder / name).read_bytes() for name in files}
    smaller = compact(old, 1, {conv_task().key: choices(conv_task())[1]}).database
    write_database(folder, smaller)
    after = {name: (folder / name).read_bytes() for name in files}
    is_new = ended_behind in ("records", "first name")
    for name in files:
        (folder / name).write_bytes(before[name])
    if ended_behind != "nothing":
        (folder / f"new_{WORKLOADS}").write_bytes(after[WORKLOADS])
    if is_new:
        (folder / f"new_{RECORDS}").write_bytes(after[RECORDS])
    if ended_behind == "first name":
        (folder / f"new_{WORKLOADS}").replace(folder / WORKLOADS)
    with locked_log(folder) as mended:
        assert not mended
    assert {name: (folder / name).read_bytes() for name in files} == (after if is_new else before)
    assert {path.name for path in folder.iterdir()} == {*files, ".lock"}


@pytest.mark.parametrize("line", ["[7,[[[],[]],[1e-6],{},[]]]", "[0]", '{"a":1}', "[0,[1,2]]"])
def test_line_that_is_no_record_is_named(folder: Path, line: str) -> None:
    with (folder / RECORDS).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(TargetError, match=f"{RECORDS}, line 6 is no record of a kernel"):
        read_database(folder)


def test_record_of_another_tuner_has_no_choice(folder: Path) -> None:
    text = (folder / RECORDS).read_text().replace("mqnet.choice", "other.choice")
    (folder / RECORDS).write_text(text)
    assert {record.choice for record in read_database(folder).by_kernel[conv_task().key]} == {""}
