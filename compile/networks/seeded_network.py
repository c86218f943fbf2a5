"""Networks of the literature with seeded weights: for speed and sizes, not for pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import nn

from compile.networks.he_weights import fill_he_weights
from compile.networks.module_network import ModuleNetwork
from compile.support.errors import MqnetError


class PublishedModule(Protocol):
    """The class of a network of the literature.

    Attributes:
        SIZE_MULTIPLE: height and width must be multiples of it.
        LEAST_SIDE: the least height and width.
    """

    SIZE_MULTIPLE: ClassVar[int]
    LEAST_SIDE: ClassVar[int]

    def __init__(self, width_divisor: int = 1) -> None:
        """With every number of channels divided by ``width_divisor``."""


@dataclass(frozen=True)
class SeededNetwork(ModuleNetwork):
    """A module with weights drawn by He's rule, or those of a checkpoint.

    Attributes:
        divisor: of the published numbers of channels; "1" for the network as it was published.
    """

    module: ClassVar[type[PublishedModule]]

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

    @property
    def size_multiple(self) -> int:  # type: ignore[override]
        """The module's."""
        return type(self).module.SIZE_MULTIPLE

    @property
    def least_side(self) -> int:  # type: ignore[override]
        """The module's."""
        return type(self).module.LEAST_SIDE

    def architecture(self) -> nn.Module:
        """The module without its weights."""
        net = type(self).module(int(self.divisor))
        assert isinstance(net, nn.Module)
        return net

    def make(self) -> nn.Module:
        """The module in evaluation mode."""
        return fill_he_weights(self.architecture())
