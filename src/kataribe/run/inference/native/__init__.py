"""The native runner: one step of a decoder in C++ for processors, without PyTorch.

`source/` is built into `built/` once per kind of processor (`scripts/native.py`); where nothing
is built, or the model is of a kind that it does not compute, `TorchRunner` does the work.
"""
