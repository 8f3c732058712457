"""Rows of a plan folded against the evidence into ground factors."""
