"""How good HDR pictures are: metrics, the tone mappers to beat, and the run over held-out pairs."""
