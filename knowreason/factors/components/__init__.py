"""Connected components of a factor graph, their shapes and their scopes."""
