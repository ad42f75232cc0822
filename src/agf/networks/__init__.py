"""The convolutional networks of the paper's Table 2 and their training."""
