"""`kataribe models`: what models there are, here and to be had."""
