"""Aggregates over frames of sorted events: arrays in, arrays out."""
