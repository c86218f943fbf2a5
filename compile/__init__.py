"""mqnet-tvm: MQNet from PyTorch to a phone through Apache TVM."""
