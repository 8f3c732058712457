"""Probabilistic soft logic: rules, and the data files beside them."""
