"""What kernels of every device share: tiles, windows, registers, requantization."""
