"""Belief propagation, plain and tree-reweighted."""
