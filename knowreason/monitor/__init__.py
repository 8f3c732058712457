"""What holds in a period, drift, and sensors that broke."""
