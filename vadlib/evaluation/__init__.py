"""Errors -> scores -> metrics."""
