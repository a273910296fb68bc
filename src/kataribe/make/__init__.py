"""Make or change a model: text, tokens, model, adapt, training. Files out."""
