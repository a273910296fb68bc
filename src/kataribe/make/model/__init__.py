"""Ids to logits: configuration, the decoder, checkpoints in and out, the slow reference."""
