"""Where MQNet's weights are: known without PyTorch, which takes a second to import."""

from pathlib import Path

BUNDLED = Path(__file__).parent / "weights"
