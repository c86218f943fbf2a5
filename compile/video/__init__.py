"""Clips through a network: frames in, HDR10 out."""
