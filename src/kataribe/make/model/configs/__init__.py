"""What models are, said without PyTorch: configurations, parameters and their shapes, counts."""
