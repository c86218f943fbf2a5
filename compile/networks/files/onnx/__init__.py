"""Reads .onnx files."""
