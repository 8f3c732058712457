"""Exact inference: templates, trees, junction trees."""
