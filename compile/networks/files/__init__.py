"""Networks from files of other tools, quantized already or not.

A reader for each kind of file makes one graph of PyTorch operations of it: in float, or with
quantize and dequantize where the file has int8 tensors. From there on it is a network as any other.
"""
