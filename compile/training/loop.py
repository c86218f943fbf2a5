"""The training loop: one process per core, gradients averaged over them.

Small convolutions do not share out over threads; crops share out over processes. Rank 0 is the
process of the command line itself: it keeps the average, the log and the checkpoint.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from compile.imaging.transfer import srgb_decode
from compile.networks.mqnet.entry import MQNetEntry
from compile.networks.mqnet.network import MQNet
from compile.quantize.fake_quantize import fake_quantized
from compile.quantize.schemes import SCHEMES
from compile.support.atomic import make_folder
from compile.support.in_worker import interrupts_held
from compile.support.scratch_folder import scratch_folder
from compile.training.batches import Batch, random_batch
from compile.training.follow_statistics import renew_statistics
from compile.training.held_out import tone_curve
from compile.training.light_code import mu_law_of_output
from compile.training.log import Row, TrainingLog
from compile.training.loss import TERMS, training_loss
from compile.training.pairs import Camera, Pair, fixed_pairs, take_plainly
from compile.training.plan import Stage, TrainingPlan
from compile.training.revive_channels import revive_channels
from compile.training.revive_gates import revive_gates
from compile.training.scenes.catalogue import TRAIN, VALIDATION
from compile.training.scenes.load import load_places
from compile.training.scenes.views import Place
from compile.training.state import TrainingState
from compile.training.validate import Validation
from compile.training.virtual_camera import photograph

_VALIDATION_SIZE, _VALIDATION_EACH, _FIXED_SEED = 256, 8, 1
_GRADIENT_NORM = 1.0
# Enough pictures that a channel which is the same in all of them is of no use.
_REVIVAL_SIZE, _REVIVAL_COUNT = 256, 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One run of a training.

    Attributes:
        plan: what is trained and how.
        scenes: folder with scenes.
        out: folder for ``state.pt``, ``log.csv`` and ``log.png``.
        start: network to start from, or None; under fake quantization the teacher, too, else its
            dead channels are made anew before the first step, in place.
        workers: processes.
        log_every: steps between two rows of the log; the state is saved with each.
        device: "cpu", or "cuda" for one worker that also makes its data there.
    """

    plan: TrainingPlan
    scenes: Path
    out: Path
    start: MQNet | None
    workers: int
    log_every: int
    device: str = "cpu"

    @property
    def state_file(self) -> Path:
        """Where the state is kept."""
        return self.out / "state.pt"


def train(run: Run, report: Callable[[int, Row | None], bool]) -> TrainingState:
    """Train to the end of the plan, from where the state in ``run.out`` stands.

    ``report`` is called after every step with its number and a new row, if there is one; where it
    returns False, the state is saved and training stops there.

    Raises:
        MqnetError: data or state that cannot be used, or a file that cannot be written.
    """
    make_folder(run.out)
    places = list(load_places(run.scenes, TRAIN, run.device).values())
    if run.start is not None and run.plan.scheme is None and not run.state_file.exists():
        _revive(run.start, places, run.plan.seed)
    state = _start(run)
    held = list(load_places(run.scenes, VALIDATION).values())
    validation = Validation(_fixed(held), tone_curve())
    plain = Validation(_fixed(held, take_plainly), srgb_decode(np.arange(256) / 255))
    log = TrainingLog(run.out, state.step)
    begin, terms = time.monotonic(), list[Tensor]()
    with (
        scratch_folder("mqnet-train-") as folder,
        # Closed after the workers: they would complain of a group that is left before they end.
        closing(_steps(run, state, places, 0, rendezvous := f"file://{folder}/store")) as steps,
        _workers(run, rendezvous),
    ):
        for loss_terms in steps:
            state.count_step()
            terms.append(loss_terms)
            row = None
            if state.step % run.log_every == 0 or state.step == run.plan.steps:
                means = torch.stack(terms).mean(0).tolist()
                row = Row(
                    state.step,
                    run.plan.crops_until(state.step),
                    (time.monotonic() - begin) / 60,
                    run.plan.rate_at(state.step - 1),
                    **dict(zip(TERMS, means, strict=True)),
                    **_scores("", validation.score(state.average)),
                    **_scores("curve_", validation.of_curve),
                    **_scores("plain_", plain.score(state.average)),
                    **_scores("srgb_", plain.of_curve),
                )
                terms.clear()
                log.add(row)
                state.save(run.state_file)
            if not report(state.step, row):
                state.save(run.state_file)
                break
    return state


def _revive(start: MQNet, places: list[Place], seed: int) -> None:
    photos = random_batch(places, _REVIVAL_SIZE, _REVIVAL_COUNT, (seed,)).photos.cpu()
    gates, channels = revive_gates(start, photos), revive_channels(start, photos, seed)
    renew_statistics(start, photos)
    if gates or channels:
        _log.warning(
            "%d channels of the weights to start from were dead and %d gates stuck: made anew",
            *(channels, gates),
        )


def _fixed(places: list[Place], camera: Camera = photograph) -> list[Pair]:
    return fixed_pairs(places, _VALIDATION_SIZE, _VALIDATION_EACH, _FIXED_SEED, camera)


def _scores(prefix: str, scores: tuple[float, float]) -> dict[str, float]:
    return dict(zip((f"{prefix}psnr_db", f"{prefix}clipped_psnr_db"), scores, strict=True))


def _start(run: Run) -> TrainingState:
    start: nn.Module | None = run.start
    if run.plan.scheme is not None:
        photos = [read_photo(path) for path in bundled_photos("calibration")]
        network = MQNetEntry(run.plan.attention)
        assert run.start is not None
        start = fake_quantized(network, run.start, SCHEMES[run.plan.scheme], photos)
    state = TrainingState(run.plan, start, run.device)
    if run.state_file.exists():
        state.load(run.state_file)
    return state


@contextmanager
def _workers(run: Run, rendezvous: str) -> Iterator[None]:
    """The other processes, ranks 1 and up, which find each other by the file ``rendezvous``."""
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_work, args=(run, rank, rendezvous), daemon=True)
        for rank in range(1, run.workers)
    ]
    with interrupts_held():
        for process in others:
            process.start()
    try:
        yield
    finally:
        for process in others:
            process.terminate()
            process.join()


def _work(run: Run, rank: int, rendezvous: str) -> None:
    # Ctrl-C reaches every process of a terminal; rank 0 alone decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    state = _start(run)
    places = list(load_places(run.scenes, TRAIN).values())
    for _ in _steps(run, state, places, rank, rendezvous):
        state.step += 1


def _steps(
    run: Run, state: TrainingState, places: list[Place], rank: int, rendezvous: str
) -> Generator[Tensor]:
    """Make the plan's steps from ``state.step`` on; each yields the terms of its loss, [9]. The
    caller counts it in ``state``."""
    torch.set_num_threads(1)
    net: nn.Module = state.net
    if run.workers > 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group("gloo", rendezvous, rank=rank, world_size=run.workers)
        net = DistributedDataParallel(state.net)
    try:
        while state.step < run.plan.steps:
            stage = run.plan.stage_at(state.step)
            seed = (run.plan.seed, state.step, rank)
            crops = run.plan.crops_at(state.step)
            batch = random_batch(places, crops.size, crops.batch // run.workers, seed)
            if run.plan.scheme is not None:
                # What is wanted is the network itself, not another that does as well.
                assert run.start is not None
                with torch.no_grad():
                    targets = mu_law_of_output(run.start(batch.photos))
                batch = replace(batch, targets=targets)
            state.set_rate(run.plan.rate_at(state.step))
            loss = training_loss(_forward(net, batch, stage), batch)
            state.optimizer.zero_grad()
            loss.total.backward()
            torch.nn.utils.clip_grad_norm_(state.net.parameters(), _GRADIENT_NORM)
            state.optimizer.step()
            yield loss.terms()
    finally:
        if run.workers > 1:
            dist.destroy_process_group()


def _forward(net: nn.Module, batch: Batch, stage: Stage) -> Tensor:
    photos = batch.photos.contiguous(memory_format=torch.channels_last)
    with torch.autocast(photos.device.type, torch.bfloat16, enabled=stage.bfloat16):
        return net(photos).float()
