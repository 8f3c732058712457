"""The most probable world."""
