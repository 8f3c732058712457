"""A project made from tables: profiled, guessed at, written with comments."""
