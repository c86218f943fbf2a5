"""The log of a precision search: JSON lines, of which the first says what the others are of."""

from __future__ import annotations

from pathlib import Path

import msgspec

from compile.precision.candidate import Candidate
from compile.records.json_lines import append_line, read_lines, repair
from compile.support.errors import MqnetError, OutputError

#: Raised when a key of the log changes its meaning.
FORMAT = 1


class SearchFacts(msgspec.Struct, frozen=True):
    """What has to be equal for a search to go on where it stopped.

    Attributes:
        format: of the log: :data:`FORMAT`.
        key: checksum of all that decides what a candidate is: the network's weights, photographs,
            the project's code, tuning records.
        network, target, size: by name.
        unit: of costs.
        machine: that times are of.
    """

    format: int
    key: str
    network: str
    target: str
    size: str
    unit: str
    machine: str


class CandidateLog:
    """The candidates of a search, in a file that only grows.

    Attributes:
        candidates: that were evaluated.

    Raises:
        MqnetError: the file is of another search, or cannot be read.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, facts: SearchFacts) -> None:
        self._path = path
        if path.exists():
            repair(path)
        lines = read_lines(path)
        if not lines:
            append_line(path, msgspec.to_builtins(facts))
        elif (other := _difference(path, lines[0], facts)) is not None:
            raise OutputError(
                f"{path} holds a search of {other}: name another output by -o, or delete it"
            )
        try:
            self.candidates = [msgspec.convert(line, Candidate) for line in lines[1:]]
        except msgspec.ValidationError as error:
            raise MqnetError(f"{path} is damaged ({error}): delete it") from None

    def add(self, candidate: Candidate) -> None:
        """Keep ``candidate``, which is on the disk when this returns."""
        append_line(self._path, msgspec.to_builtins(candidate))
        self.candidates.append(candidate)


def _difference(path: Path, line: object, facts: SearchFacts) -> str | None:
    """What the search in ``path`` is of, where it is another one."""
    try:
        found = msgspec.convert(line, SearchFacts)
    except msgspec.ValidationError:
        return "no precisions"
    if found == facts:
        return None
    if found.format != facts.format:
        return "another version of this project"
    for name in ("network", "target", "size", "unit", "machine"):
        if (theirs := getattr(found, name)) != getattr(facts, name):
            return f"another {name} ({theirs})"
    return "other weights or photographs, or with other code or tuning logs"
