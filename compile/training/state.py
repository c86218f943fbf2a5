"""Everything that a training needs to go on, in one file that is written whole or not at all."""

from __future__ import annotations

import copy
import math
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from compile.networks.mqnet.attention import ChannelAttention
from compile.networks.mqnet.network import MQNet
from compile.support.atomic import atomic_path
from compile.support.errors import CheckpointError
from compile.training.follow_statistics import follow_statistics
from compile.training.plan import TrainingPlan

_BETAS = (0.9, 0.99)
# The average looks back this share of the steps, at most 1,000 of them.
_AVERAGE_MEMORY, _LONGEST_MEMORY = 0.1, 1000
# Up to that many inputs of an output a weight has the whole learning rate. Adam moves each weight
# by about the rate, and where inputs are never negative their moves add up: at 1e-3 a sum over
# 1,344 of them can move by its own deviation in two steps, and the ReLU6 behind it is dead soon.
_FEW_INPUTS = 32
# Of a channel attention. It is one sum for the whole picture: at the whole rate its gates were at 0
# or 1 for every picture within 1,500 steps, where they have no slope.
_ATTENTION_SHARE = 0.05


class TrainingState:
    """The network, its moving average, the optimizer and the number of steps made.

    Attributes:
        net: in training mode, where it has modes.
        average: exponential moving average of ``net``, in evaluation mode: what is kept in the end.
        step: steps made so far.
    """

    def __init__(
        self, plan: TrainingPlan, start: nn.Module | None = None, device: str = "cpu"
    ) -> None:
        """At the beginning of ``plan``: to train ``start``, or MQNet with seeded random weights, on
        a device of torch."""
        self.plan = plan
        self._device = device
        # A graph that torch.export has made has no modes, and says so by raising.
        if isinstance(start, GraphModule):
            self.net: nn.Module = start
            self.average: nn.Module = _copy_of_graph(start)
        else:
            net = _random_network(plan) if start is None else start.train()
            # torch says of this method that it takes no memory format alone.
            self.net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.average = copy.deepcopy(self.net).eval()
            if start is not None:
                follow_statistics(self.net)
        self.optimizer = torch.optim.Adam(_groups_by_share(self.net), betas=_BETAS, fused=True)
        self.step = 0

    def set_rate(self, rate: float) -> None:
        """Adam's learning rate of the next step; a convolution of many inputs has less of it."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]

    def count_step(self) -> None:
        """After an optimizer's step: follow the network with its average."""
        self.step += 1
        memory = min(_LONGEST_MEMORY, 1 + _AVERAGE_MEMORY * self.step)
        now = self.net.state_dict()
        for name, average in self.average.state_dict().items():
            current = now[name]
            if average.is_floating_point():
                average.lerp_(current, 1 / memory)
            else:
                average.copy_(current)

    def save(self, path: Path) -> None:
        """Write the state.

        Raises:
            OutputError: it cannot be written; an older file is untouched.
        """
        state = {
            "plan": asdict(self.plan),
            "step": self.step,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with atomic_path(path) as beside:
            torch.save(state, beside)

    def load(self, path: Path) -> None:
        """Go on from a file that :meth:`save` has written.

        Raises:
            CheckpointError: the file is damaged or of another plan.
        """
        try:
            state = torch.load(path, self._device, weights_only=True)
            plan = state["plan"]
        except Exception as error:  # torch raises whatever its unpickler meets.
            raise CheckpointError(
                f"{path} is damaged: delete it to start again, or give another --out"
            ) from error
        mine = asdict(self.plan)
        for key in mine:
            if mine[key] != _as_tuples(plan.get(key)):
                raise CheckpointError(
                    f"{path} is of a training with {key} {plan.get(key)}, not {mine[key]}: give "
                    "the same options to go on, or another --out"
                )
        self.step = state["step"]
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise CheckpointError(
                f"{path} is of another version of this program ({error}): delete it to start "
                "again, or give another --out"
            ) from None


def _groups_by_share(net: nn.Module) -> list[dict[str, Any]]:
    """Parameters by their share of the learning rate, which falls by the inputs of an output (Yang
    et al., "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer",
    2022, table 3)."""
    of_attentions = {
        parameter
        for module in net.modules()
        if isinstance(module, ChannelAttention)
        for parameter in module.parameters()
    }
    by_share: dict[float, list[Tensor]] = {}
    for one in net.parameters():
        share = min(1, _FEW_INPUTS / math.prod(one.shape[1:]))
        by_share.setdefault(_ATTENTION_SHARE if one in of_attentions else share, []).append(one)
    return [{"params": some, "share": share} for share, some in by_share.items()]


def _random_network(plan: TrainingPlan) -> MQNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return MQNet(plan.attention).train()


def _copy_of_graph(graph: GraphModule) -> GraphModule:
    with warnings.catch_warnings():
        # Of torch itself, about how it compares its own trees while it copies them.
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
        return copy.deepcopy(graph)


def _as_tuples(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
