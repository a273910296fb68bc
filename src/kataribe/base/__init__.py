"""The ground: values and protocols that every room speaks. Nothing here imports torch."""
