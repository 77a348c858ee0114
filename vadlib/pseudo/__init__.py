"""A clip -> a pseudo-anomalous clip and the mask of what changed."""
