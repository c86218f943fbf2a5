"""The cores that the emulated board passes for: all that targets name, and how it looks as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from compile.support.errors import TargetError
from device.emulated.arm64.board_core import board_core, root_with_core
from targets.load_target import list_targets, load_target

CPUINFO = """processor\t: 0
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

processor\t: 1
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What of a board's root is looked at."""
    root = tmp_path / "root"
    (root / "proc").mkdir(parents=True)
    (root / "proc/cpuinfo").write_text(CPUINFO)
    (root / "usr").mkdir()
    (root / "usr/python").write_text("as it is")
    return root


def test_every_core_that_a_target_names_is_known():
    specs = [spec for spec in map(load_target, list_targets()) if spec.machine == "EM_AARCH64"]
    assert len({spec.processor.cpu for spec in specs}) > 4
    for spec in specs:
        core = board_core(spec.processor.cpu)
        assert core.name == spec.processor.cpu
        # On QEMU's `max` LiteRT takes kernels that no such core could run.
        assert core.model.startswith("cortex-") or "sme=off" in core.model


def test_unknown_core():
    with pytest.raises(TargetError, match=r"pass for a cortex-x9, only for .*cortex-a76.*cores\."):
        board_core("cortex-x9")


def test_a_core_with_the_features_of_the_board(root: Path, tmp_path: Path):
    board = root_with_core(root, board_core("cortex-a55"), tmp_path / "board")
    expected = CPUINFO.replace("0xd0b", "0xd05")
    assert (board / "proc/cpuinfo").read_text() == expected
    assert (board / "usr/python").read_text() == "as it is"
    assert (root / "proc/cpuinfo").read_text() == CPUINFO


def test_a_core_with_features_and_an_implementer_of_its_own(root: Path, tmp_path: Path):
    older = root_with_core(root, board_core("cortex-a72"), tmp_path / "older")
    text = (older / "proc/cpuinfo").read_text()
    assert text.count("0xd08") == 2 and text.count("crc32 cpuid") == 2 and "asimddp" not in text
    samsung = root_with_core(root, board_core("exynos-m5"), tmp_path / "samsung")
    assert (samsung / "proc/cpuinfo").read_text().count("0x53") == 2
