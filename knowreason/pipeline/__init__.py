"""Project file, reasoner, run folder: the parts put together."""
