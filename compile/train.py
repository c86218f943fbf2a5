"""Train MQNet on HDR panoramas and pictures: writes a checkpoint, a log and a plot of it."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from compile.networks.mqnet.attention_names import AttentionName
from compile.support.cli import OUT, run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Train MQNet on HDR panoramas and pictures: writes a checkpoint, a log and a plot of it.

    Stop it at any moment with Ctrl-C; the same command goes on where it stopped.

    Example: python compile/train.py --out runs/ca
    """

    scenes: Path = Path("data/scenes")
    """Folder with scenes, from `python compile/scenes.py fetch`."""

    out: Annotated[Path, OUT] = Path("runs/ca")
    """Folder for ATTENTION.safetensors (or ATTENTION-qat), state.pt, log.csv and log.png."""

    attention: AttentionName = "ca"
    """Attention of the decoder: channel, both, spatial or none."""

    start: Path | None = None
    """Checkpoint to start from, also of another attention; random weights unless given. Channels
    of it that no photograph moves are made anew."""

    quantization_aware: bool = False
    """Fine-tune --start under the fake quantization of `mixed`, towards its own float output."""

    steps: int = 24_000
    """Optimizer steps, of 16 crops of 128 pixels to 2 crops of 512 pixels."""

    learning_rate: float = 2e-3
    """Adam's, before its drops."""

    seed: int = 0
    """Of the weights and of the data."""

    workers: Literal[1, 2] = 2
    """Processes that share each step's crops, one core each."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train; cuda makes the pictures there, too, in one process (--workers 1)."""

    bfloat16: bool = False
    """Compute in bfloat16 but for the last 6 %: half the time where the CPU has AVX512-BF16, and
    on a GPU."""

    log_every: int = 500
    """Steps between two rows of the log, with each of which the state is saved."""


def main() -> None:
    """Entry point of `python compile/train.py`."""
    run_command(Options, _train)


def _train(options: Options) -> None:
    set_up_logging(verbose=False)
    from torch import nn

    from compile.networks.mqnet.checkpoints import save_checkpoint
    from compile.networks.mqnet.network import MQNet
    from compile.networks.mqnet.transfer_weights import transfer_weights
    from compile.quantize.fake_quantize import trained_network
    from compile.support.check_positive import check_positive
    from compile.support.errors import MqnetError
    from compile.support.outputs import check_output_folder
    from compile.training.loop import Run, train
    from compile.training.plan import CROPS, SMALL_CROPS, Stage, TrainingPlan
    from compile.training.show import shown_training

    check_positive(steps=options.steps, log_every=options.log_every)
    if options.quantization_aware and (options.start is None or options.bfloat16):
        raise MqnetError(
            "--quantization-aware fine-tunes weights in float32: give them by --start FILE and "
            "leave --bfloat16 away"
        )
    if options.device == "cuda":
        _check_cuda(options)
    name = f"{options.attention}-qat" if options.quantization_aware else str(options.attention)
    path = options.out / f"{name}.safetensors"
    written = path.name, "state.pt", "log.csv", "log.png"
    check_output_folder(options.out, written, [options.start, options.scenes])
    plan = TrainingPlan(
        attention=options.attention,
        steps=options.steps,
        learning_rate=options.learning_rate,
        seed=options.seed,
        stages=(
            Stage(0.55, SMALL_CROPS, options.bfloat16),
            Stage(0.94, CROPS, options.bfloat16),
            Stage(1, CROPS, bfloat16=False),
        ),
        scheme="mixed" if options.quantization_aware else None,
    )
    start = None
    if options.start is not None:
        start = transfer_weights(options.start, options.attention, options.seed)
    run = Run(
        plan,
        options.scenes,
        options.out,
        start,
        options.workers,
        options.log_every,
        options.device,
    )
    with shown_training(stderr, plan) as report:
        state = train(run, report)
    if state.step < plan.steps:
        stderr.print(f"stopped at step {state.step}; the same command goes on from there")
        raise KeyboardInterrupt
    network: nn.Module = state.average.cpu()
    how = f"{plan.crops_until(plan.steps)} crops in {plan.steps} steps, Adam {plan.learning_rate:g}"
    if options.quantization_aware:
        network = trained_network(network, MQNet(options.attention))
        how += f", under the fake quantization of {plan.scheme}"
    assert isinstance(network, MQNet)
    save_checkpoint(network, path, how)
    print(path)


def _check_cuda(options: Options) -> None:
    import torch

    from compile.support.errors import MqnetError

    if options.quantization_aware or options.workers != 1:
        raise MqnetError(
            "--device cuda is for one worker that trains in float: add --workers 1 and leave "
            "--quantization-aware away"
        )
    if not torch.cuda.is_available():
        raise MqnetError(
            "--device cuda: torch finds no GPU (CUDA): install its driver and a torch with CUDA, "
            "or leave --device away"
        )


if __name__ == "__main__":
    main()
