"""A network whose module comes with weights."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from compile.networks.network import Network
from compile.networks.weights_file import load_weights
from compile.support.errors import CheckpointError


@dataclass(frozen=True)
class ModuleNetwork(Network):
    """A network that needs no file of weights, and takes one."""

    @abstractmethod
    def make(self) -> nn.Module:
        """A new module in evaluation mode, with its weights."""

    def weights(self, fine_tuned: bool) -> Path | None:
        """None: the module has weights.

        Raises:
            CheckpointError: they were to be fine-tuned under quantization, and nothing does it.
        """
        if fine_tuned and self.training is None:
            raise CheckpointError(
                f"network {self.title} has no weights that were fine-tuned under quantization, and "
                "no training function: give one as `train` of a UserModule, or choose another "
                "scheme, such as mixed"
            )
        return None

    def load(self, checkpoint: Path | None) -> nn.Module:
        """The module, with the weights of ``checkpoint`` where one is given."""
        net = self.make()
        if checkpoint is not None:
            load_weights(net, checkpoint)
        return net
