"""From a quantized ``torch.export`` program to Relax, quantize and dequantize kept."""
