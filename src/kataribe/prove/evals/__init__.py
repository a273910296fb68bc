"""How good answers are: held-out questions, scores, and intervals that say how sure that is."""
