"""Figures of the notebooks: numbers, videos or models in, Axes out."""
