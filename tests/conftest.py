"""Fixtures that every test may use."""

import torch
from fixtures_artefacts import artefact, checkpoint_of, quantized_program, shared_folder
from fixtures_emulator import arm64_root

__all__ = ["arm64_root", "artefact", "checkpoint_of", "quantized_program", "shared_folder"]

# Workers share the cores: with more threads than cores PyTorch's wait for each other, five to ten
# times longer than they compute.
torch.set_num_threads(1)
