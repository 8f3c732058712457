"""Models of links: in time, by their surroundings, by embeddings."""
