"""A build's folder; see the modules beside this one."""

from __future__ import annotations

from compile.artefact.manifest import LIBRARY, MANIFEST
from compile.artefact.reader import Artefact, check_runs_here, open_artefact
from compile.artefact.writer import staged_artefact, write_manifest

__all__ = [
    "LIBRARY",
    "MANIFEST",
    "Artefact",
    "check_runs_here",
    "open_artefact",
    "staged_artefact",
    "write_manifest",
]
