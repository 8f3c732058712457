"""What a cell of a notebook shows of a value."""
