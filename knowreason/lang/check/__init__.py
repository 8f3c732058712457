"""Syntax nodes to a program: names, sorts, scopes, weights."""
