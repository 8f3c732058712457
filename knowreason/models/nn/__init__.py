"""Torch models and how they are trained."""
