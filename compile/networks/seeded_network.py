"""Networks of the literature with seeded weights: for speed and sizes, not for pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from compile.networks.he_weights import fill_he_weights
from compile.networks.network import Network
from compile.networks.weights_file import load_weights
from compile.support.errors import CheckpointError, MqnetError


@dataclass(frozen=True)
class SeededNetwork(Network):
    """A module with weights drawn by He's rule, or those of a checkpoint.

    Attributes:
        divisor: of the published numbers of channels; "1" for the network as it was published.
    """

    module: ClassVar[Callable[[int], nn.Module]]

    divisor: str = "1"

    def __post_init__(self) -> None:
        """Refuse a divisor that is none.

        Raises:
            MqnetError: the text says what is taken.
        """
        if not self.divisor.isdecimal() or not 1 <= int(self.divisor) <= 64:
            raise MqnetError(f"width divisor {self.divisor!r} is no whole number from 1 to 64")

    @property
    def label(self) -> str:
        """The name, with the divisor where there is one."""
        return self.name if self.divisor == "1" else f"{self.name}-{self.divisor}th"

    def weights(self, fine_tuned: bool) -> Path | None:
        """None: they are drawn.

        Raises:
            CheckpointError: they were to be fine-tuned under quantization.
        """
        if fine_tuned:
            raise CheckpointError(
                f"network {self.name} has no weights that were fine-tuned under quantization: "
                "choose another scheme, such as mixed"
            )
        return None

    def architecture(self) -> nn.Module:
        """The module without its weights."""
        return type(self).module(int(self.divisor))

    def load(self, checkpoint: Path | None) -> nn.Module:
        """The module in evaluation mode."""
        net = fill_he_weights(self.architecture())
        if checkpoint is not None:
            load_weights(net, checkpoint)
        return net
