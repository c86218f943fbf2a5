"""Fixtures that every test may use."""

from fixtures_emulator import arm64_root

__all__ = ["arm64_root"]
