"""Devices that this machine plays: an arm64 board, and the compiler of a Mali."""
