"""Kataribe: one program for the whole life of a language model on machines that people own.

The wings are `make`, `run`, `use` and `prove`; the ground is `base`, `files`, `store` and
`sandbox`; the doors are `serve` and `cli`. `README.md` maps them.
"""

__version__ = "0.1.0"
