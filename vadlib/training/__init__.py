"""Training: the loop, its samples, and going on after an interruption."""
