"""Executed instructions of an emulated board, which every machine counts alike."""
