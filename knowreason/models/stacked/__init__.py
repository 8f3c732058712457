"""All models of a predicate as one, and the mean of that and of rules."""
