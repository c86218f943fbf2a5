"""Reads .tflite files."""
