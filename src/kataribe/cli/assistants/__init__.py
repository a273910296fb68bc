"""`kataribe assistants`: recipes that answer under a name of their own."""
