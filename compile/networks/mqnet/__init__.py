"""MQNet in PyTorch: the network, its attentions, its weights and the form that is deployed."""
