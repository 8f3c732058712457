"""Programs written in Python with operators."""
