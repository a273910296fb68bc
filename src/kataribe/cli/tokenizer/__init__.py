"""`kataribe tokenizer`: tokenizers of one's own."""
