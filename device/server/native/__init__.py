"""The RPC server in C, for boards and phones without Python, and what builds it."""
