"""The builds of ours that a latency session times."""

from __future__ import annotations

import os
from pathlib import Path

from bench.engines.registry import ENGINES
from bench.session.rows import size_text
from compile.artefact.reader import Artefact
from compile.build_network import build_network
from compile.build_request import BuildRequest
from compile.networks.network import Network
from compile.networks.registry import MQNET, network_named
from compile.support.build_cache import user_cache
from compile.support.progress import Progress
from targets.load_target import load_target, target_name


class OwnBuilds:
    """Builds for ``target`` in folders below ``folder``, each made when it is first asked for.

    They are made for as many threads as a build that names none, or for ``most_threads`` where that
    is more, and one serves every number of threads; only an engine with ``exact_threads`` has one
    for each.
    """

    def __init__(
        self,
        target: str,
        most_threads: int,
        folder: Path,
        progress: Progress,
        network: Network | None = None,
    ) -> None:
        self._network = network or network_named("mqnet")
        self._target, self._folder, self._progress = target, folder, progress
        self._most_threads = max(load_target(target).threads, most_threads)
        self._made: dict[str, Artefact] = {}

    def get(self, engine: str, scheme: str, size: tuple[int, int], threads: int) -> Artefact:
        """Build, or have built already, what ``engine`` runs on so many ``threads``.

        Raises:
            MqnetError: one of its kinds, for each mistake that a user can mend.
        """
        kind = ENGINES[engine]
        most = threads if kind.exact_threads else self._most_threads
        name = f"{target_name(self._target)}-{scheme}-{size_text(size)}-{most}"
        if self._network.name != MQNET:
            name = f"{self._network.label}-{name}"
        name += "-images" if kind.image_weights else ""
        name += "-standalone" if kind.standalone else ""
        if name not in self._made:
            self._progress.say(f"{engine} {scheme}, {size_text(size)}, threads: at most {most}")
            request = BuildRequest(
                self._target,
                scheme,
                self._network,
                size,
                threads=most,
                out=self._folder / name,
                image_weights=kind.image_weights,
                standalone=kind.standalone,
            )
            cache = user_cache(os.environ)
            self._made[name] = build_network(request, self._progress, cache=cache)
        return self._made[name]
