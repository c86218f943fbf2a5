"""The pages: commands parse as they stand, links lead somewhere, the README is short."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from pathlib import Path

import pytest
import tyro
from command_line import MAINS, REPOSITORY

from compile.pipeline import PipelineOptions, phases
from compile.quantize.schemes import scheme_named
from targets.load_target import load_target

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    REPOSITORY / "compile/networks/mqnet/weights/ca.md",
]
#: A file or folder of the project in the text.
_PATH = re.compile(r"`((?:compile|targets|device|bench|tests|tuning_logs|docs)/[\w./-]*)`")
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


def commands(page: Path) -> list[str]:
    """The commands of the project in the page's code blocks, continued lines joined."""
    blocks = re.findall(r"^```\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    starts = tuple(f"python {name}.py" for name in MAINS)
    return [line for line in lines if line.startswith(starts)]


COMMANDS = sorted({line for page in PAGES for line in commands(page)})


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("line", COMMANDS)
def test_command_is_understood(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option and value is taken by the command's own parser."""
    _, script, *arguments = shlex.split(line.partition(" > ")[0], comments=True)
    main = MAINS[script.removesuffix(".py")]
    module = sys.modules[main.__module__]
    if script == "device/serve.py":
        # The one command with a parser of the standard library: a board has no other.
        monkeypatch.setattr(argparse.ArgumentParser, "exit", lambda *_, **__: pytest.fail(line))
        assert vars(module.parser().parse_args(arguments))
        return
    parsed = []

    def parse(options: type, _run: object) -> None:
        parsed.append(tyro.cli(options, args=arguments))

    monkeypatch.setattr(module, "run_command", parse)
    main()
    assert len(parsed) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    missing = [link for link in _LINK.findall(text) if not (page.parent / link).exists()]
    paths = [path for path in _PATH.findall(text) if "NAME" not in path]
    missing += [path for path in paths if not (REPOSITORY / path).exists()]
    assert not missing


def test_the_readme_fits_the_eye() -> None:
    text = (REPOSITORY / "README.md").read_text()
    assert len(text.splitlines()) <= 130 and len(text.encode()) <= 8192


def test_drawing_shows_the_phases_and_their_passes_in_order() -> None:
    """Of the scheme that has all of them."""
    options = PipelineOptions.for_scheme(
        load_target("host"), 1, scheme_named("mixed-fp16"), Path("no logs")
    )
    expected = []
    for phase, passes in phases(options):
        for number, one in enumerate(passes):
            words = re.findall("[A-Z][a-z]*", one.info.name)
            expected.append((phase if number == 0 else "", "_".join(words).lower()))
    row = re.compile(r"^ (?P<phase>\w*) .* compile/passes/(?P<module>\w+)\.py$", re.MULTILINE)
    shown = row.findall((REPOSITORY / "docs/pipeline.md").read_text())
    assert shown == expected
