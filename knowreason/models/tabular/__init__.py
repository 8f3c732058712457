"""Models of rows of a table: scikit-learn, boosted trees, columns of scores."""
