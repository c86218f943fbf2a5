"""From a trained MQNet to an exported program whose tensors say how they are quantized."""
