"""Tables of names become the encoded tables of a data set."""
