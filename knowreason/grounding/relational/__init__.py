"""Plans as queries, run by DuckDB."""
