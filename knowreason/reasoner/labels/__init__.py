"""Labels: which are hidden, how they were drawn, and which belong together."""
