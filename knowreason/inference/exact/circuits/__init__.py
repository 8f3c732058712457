"""Circuits of component shapes, and tables of all their states."""
