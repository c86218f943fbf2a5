"""What a board runs under ``device/serve.py``, beside TVM's own RPC server.

Nothing here may import more than Python, numpy, a runtime-only TVM and, where it is there, LiteRT:
a board has neither PyTorch nor the packages of the command lines.
"""
