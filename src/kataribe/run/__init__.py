"""Have a model answer: find one, run it here, or ask a hosted one. Files in, an `LM` out."""
