"""Mean field: a lower bound on log Z."""
