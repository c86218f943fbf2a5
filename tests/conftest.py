"""Fixtures that every test may use."""

from fixtures_artefacts import artefact, checkpoint_of, quantized_program, shared_folder
from fixtures_emulator import arm64_root

__all__ = ["arm64_root", "artefact", "checkpoint_of", "quantized_program", "shared_folder"]
