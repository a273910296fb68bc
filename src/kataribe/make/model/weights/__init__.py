"""Models in files: names and places, Hugging Face folders and GGUF, in and out of memory."""
