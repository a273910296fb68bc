"""`kataribe runs`."""
