"""The names of the decoder's attentions, for command lines: the modules themselves need torch."""

from __future__ import annotations

from typing import Literal

AttentionName = Literal["ca", "csa", "sa", "none"]
"""Those of :data:`compile.networks.mqnet.attention.ATTENTIONS`."""
