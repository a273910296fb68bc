"""Tools: what a model may call, and how a call is made so that nothing of it can hurt."""
