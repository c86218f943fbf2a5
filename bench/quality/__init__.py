"""How good HDR pictures are: metrics, the baselines to beat, and the run over held-out pairs."""
