"""`kataribe train`."""
