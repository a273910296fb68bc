"""`kataribe corpus`: text to train on."""
