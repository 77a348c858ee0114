"""Widgets of the notebooks: controls around pure functions that draw."""
