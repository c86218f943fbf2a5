"""Training of MQNet: pairs of photograph and light, the loss, the loop and its checkpoints."""
