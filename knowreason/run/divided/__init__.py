"""Runs in parts: each independent part of the tables by itself."""
