"""Builds and measures candidates: exactly, each of them."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from torch.export import ExportedProgram

from compile.artefact.reader import Artefact
from compile.build_network import build_network, float_network, quantized_program
from compile.build_request import BuildRequest
from compile.networks.parts import Parts
from compile.precision.candidate import Candidate
from compile.precision.candidate_log import CandidateLog
from compile.precision.error_sources import find_error_sources
from compile.precision.measure_decibels import ExactOutputs, exact_outputs
from compile.precision.scopes import INT8, Assignment, Scopes, assignment_of, find_scopes
from compile.precision.time_candidates import Meter, costs_by_scope
from compile.precision.write_recipe import describe_rules, recipe_text
from compile.quantize.observed_tensors import ObservedTensors
from compile.quantize.recipe import read_recipe
from compile.support.build_cache import BuildCache
from compile.support.errors import MqnetError
from compile.support.progress import Progress

#: Whose points are in every front.
SCHEMES = ("int8", "mixed", "w8a32")
# Frames that sources of error are looked for on; all are for the dB.
_FRAMES_OF_SOURCES = 2
_QUIET = Console(quiet=True)


@dataclass(frozen=True)
class SearchedNetwork:
    """What candidates are of.

    Attributes:
        request: of a build, but for its recipe.
        plain: the network in float32.
        parts: of its operations.
        scopes: of those.
        exact: what it makes of the photographs on which dB are measured.
    """

    request: BuildRequest
    plain: ExportedProgram
    parts: Parts
    scopes: Scopes
    exact: ExactOutputs


def load_searched(request: BuildRequest, photos: Path | None) -> SearchedNetwork:
    """Load the network of ``request``; dB are measured on the folder ``photos``, or on those that
    come with the project for tests.

    Raises:
        MqnetError: it is quantized already, or cannot be loaded.
    """
    network = request.network
    plain = None if network.scheme else float_network(request)
    if plain is None:
        raise MqnetError(f"network {network.title} is quantized already: give one in float")
    parts = network.parts(plain.graph)
    scopes = find_scopes(plain.graph, parts, network.module_path)
    return SearchedNetwork(request, plain, parts, scopes, exact_outputs(request, photos))


class Evaluator:
    """Evaluates candidates of ``searched`` by ``meter``, each once: ``log`` remembers them.

    Args:
        searched: the network.
        meter: of frames.
        log: of the search.
        cache: of builds.
        work: an empty folder.
        report: is told each new candidate.
    """

    def __init__(
        self,
        searched: SearchedNetwork,
        meter: Meter,
        log: CandidateLog,
        cache: BuildCache,
        work: Path,
        report: Callable[[Candidate], None],
    ) -> None:
        self._searched, self._meter, self._log = searched, meter, log
        self._cache, self._work, self._report = cache, work, report
        self._has_first = False
        self._observed = ObservedTensors()

    @property
    def candidates(self) -> list[Candidate]:
        """All so far."""
        return self._log.candidates

    def scheme(self, name: str) -> Candidate:
        """The candidate of the scheme of that name."""
        searched, root = self._searched, self._searched.request.network.module_path
        assignment = assignment_of(name, searched.scopes, searched.parts, root)
        for one in self.candidates:
            if one.name == name:
                return one
        return self._new(name, assignment, recipe_text(name, ()))

    def evaluate(self, assignment: Assignment) -> Candidate:
        """The candidate with ``assignment``."""
        for one in self.candidates:
            if one.assignment == assignment:
                return one
        scheme, rules = self._searched.scopes.recipe(assignment)
        name = describe_rules(rules)
        if scheme != SCHEMES[0]:
            name = f"{scheme}, {name}" if rules else scheme
        return self._new(name, assignment, recipe_text(scheme, rules))

    def _new(self, name: str, assignment: Assignment, recipe: str) -> Candidate:
        found = Candidate(
            number=len(self.candidates) + 1, name=name, assignment=assignment, recipe=recipe
        )
        try:
            found = self._measured(found)
        except MqnetError as error:
            if found.number <= len(SCHEMES):
                raise  # No other candidate would do any better.
            found = msgspec.structs.replace(found, problem=str(error))
        self._log.add(found)
        self._report(found)
        return found

    def _measured(self, found: Candidate) -> Candidate:
        searched, root = self._searched, self._searched.request.network.module_path
        frames = searched.exact.frames
        if self._meter.compares and found.number > 1 and not self._has_first:
            first = self.candidates[0]
            self._meter.keep_first(self._built(first)[1].library.parent, first.cost)
            self._has_first = True
        program, artefact = self._built(found)
        scores = searched.exact.decibels(program)
        cost = self._meter.measure(artefact, frames[0])
        folder = artefact.library.parent
        if self._meter.compares and found.number == 1:
            self._meter.keep_first(folder, cost.whole)
            self._has_first = True
        else:
            shutil.rmtree(folder)
        scopes, sources = searched.scopes, None
        if INT8 in found.assignment:
            sources = find_error_sources(
                program, searched.plain, searched.parts, scopes, root, frames[:_FRAMES_OF_SOURCES]
            )
        calls = artefact.manifest.calls
        costs = costs_by_scope(calls, cost, scopes.paths, scopes.macs, root)
        return msgspec.structs.replace(
            found,
            db=float(np.mean(scores)),
            least_db=float(np.min(scores)),
            cost=cost.whole,
            weight_bytes=artefact.manifest.whole.weight_bytes,
            costs=tuple(costs),
            sources=sources,
        )

    def _built(self, candidate: Candidate) -> tuple[ExportedProgram, Artefact]:
        path = self._work / f"recipe-{candidate.number}.toml"
        path.write_text(candidate.recipe)
        request = replace(
            self._searched.request,
            recipe=path,
            scheme=read_recipe(path).name,
            threads=1,
            out=self._work / f"candidate-{candidate.number}",
        )
        with contextlib.redirect_stdout(sys.stderr):
            program = quantized_program(request, self._cache, self._observed)
        return program, build_network(request, Progress(_QUIET), program, self._cache)
