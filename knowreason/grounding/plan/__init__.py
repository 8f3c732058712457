"""Logical plans: what a rule joins, computes and leaves open."""
