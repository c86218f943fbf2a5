"""Shared libraries by the target's linker, and what they hold."""
