"""OpenCL C as TVM prints it, completed and rewritten: one rewriting of the text per file."""
