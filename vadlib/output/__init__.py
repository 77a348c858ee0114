"""Plots: results in, Axes out."""
