"""The functions of nn.functional that are formulas over tensors; one file a family."""
