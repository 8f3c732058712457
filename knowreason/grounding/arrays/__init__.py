"""Definitions and rules over little data, evaluated row by asked row in numpy."""
