"""Graph neural networks and what they see of a data set."""
