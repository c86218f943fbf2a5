"""InstanceNorm and what is fused into the loop over the rows of a feature map."""
