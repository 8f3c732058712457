"""The GCN posterior: rounds of belief propagation corrected by a trained network."""
