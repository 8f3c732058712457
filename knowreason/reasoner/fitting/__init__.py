"""Fitting the models of a program: which, where, and which are taken from another run."""
