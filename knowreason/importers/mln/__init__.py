"""Markov logic: Alchemy, pracmln, Tuffy and LoMRF."""
