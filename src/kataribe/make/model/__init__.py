"""Ids to logits or vectors: the models on top; below them configurations, layers and files."""
