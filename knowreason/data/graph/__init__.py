"""Graphs of other libraries as tables of a data set, and back."""
