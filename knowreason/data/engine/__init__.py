"""Engines that run relational plans: one protocol, DuckDB in process, Spark on a cluster."""
