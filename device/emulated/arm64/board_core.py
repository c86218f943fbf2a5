"""The core that the emulated board passes for: QEMU's model, and what /proc/cpuinfo says."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from compile.support.errors import TargetError

_CORES_FILE = Path(__file__).with_name("cores.toml")


@dataclass(frozen=True)
class BoardCore:
    """A core of `cores.toml`.

    Attributes:
        name: LLVM's, by which target files name it.
        title: Name for people.
        model: QEMU's model that executes the same instructions.
        implementer, part: In /proc/cpuinfo.
        features: In /proc/cpuinfo; empty for the board's own.
    """

    name: str
    title: str
    model: str
    implementer: str
    part: str
    features: str = ""


def board_core(name: str) -> BoardCore:
    """The core that LLVM calls ``name``.

    Raises:
        TargetError: `cores.toml` does not know it.
    """
    cores = tomllib.loads(_CORES_FILE.read_text())
    if name not in cores:
        raise TargetError(
            f"the emulated board cannot pass for a {name}, only for {', '.join(cores)}: describe "
            f"it in {_CORES_FILE}"
        )
    return BoardCore(name, **cores[name])


def root_with_core(root: Path, core: BoardCore, folder: Path) -> Path:
    """``folder``, made a root of links into ``root`` with a /proc/cpuinfo of ``core``."""
    (folder / "proc").mkdir(parents=True)
    for path in root.absolute().iterdir():
        if path.name != "proc":
            (folder / path.name).symlink_to(path)
    text = (root / "proc/cpuinfo").read_text()
    fields = {"CPU implementer": core.implementer, "CPU part": core.part}
    if core.features:
        fields["Features"] = core.features
    for field, value in fields.items():
        text = re.sub(rf"^({field}\s*: ).*$", rf"\g<1>{value}", text, flags=re.MULTILINE)
    (folder / "proc/cpuinfo").write_text(text)
    return folder
