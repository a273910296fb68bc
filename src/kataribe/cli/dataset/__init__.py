"""`kataribe dataset`: what a model is given to learn from."""
