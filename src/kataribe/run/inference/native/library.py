"""The compiled library: whether it runs here, and its functions with their types."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, c_float, c_int, c_int32, c_int64, c_void_p
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import KataribeError

VERSION = 3
"""Of the functions below; `source/library.cpp` has the same."""
BUILT = Path(__file__).parent / "built" / "avx512bf16.so"
"""For x86-64 with AVX-512 and its products of bfloat16."""


class Shape(Structure):
    """What the decoder is; `source/decoder.h`."""

    _fields_ = (
        *(
            (name, c_int32)
            for name in (
                "layers", "hidden", "heads", "kv_heads", "head_dim", "intermediate",
                "vocabulary", "blocks", "activation",
            )
        ),
        *((name, c_float) for name in ("epsilon", "embedding_scale", "attention_scale")),
    )  # fmt: skip


class Unpacked(Structure):
    """Rows of a matrix before they are packed; `source/matrix.h`."""

    _fields_ = (("values", c_void_p), ("scales", c_void_p), ("offsets", c_void_p))


class StepInput(Structure):
    """One step; `source/decoder.h`."""

    _fields_ = (
        *((name, c_int32) for name in ("rows", "slices", "wanted")),
        *(
            (name, c_void_p)
            for name in ("ids", "row", "start", "table", "block", "wanted_rows", "logits")
        ),
    )


_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "new": (c_int, (POINTER(Shape), POINTER(c_void_p))),
    "free": (None, (c_void_p,)),
    "reserve": (c_int, (c_void_p, c_int, c_int, c_int, c_int, c_int)),
    "pack": (None, (c_void_p, c_int, c_int, c_int, c_int, POINTER(Unpacked))),
    "round": (None, (c_void_p, c_int64, c_void_p, c_void_p, c_void_p)),
    "row": (None, (c_void_p, c_int, c_int, c_int, c_void_p)),
    "tie": (None, (c_void_p,)),
    "vector": (c_int, (c_void_p, c_int, c_int, c_void_p, c_int)),
    "rope": (c_int, (c_void_p, c_int, c_void_p, c_int, c_float)),
    "layer": (None, (c_void_p, c_int, c_int, c_int)),
    "step": (c_int, (c_void_p, POINTER(StepInput), c_int)),
    "copy": (None, (c_void_p, c_void_p, c_int)),
}


_FAILURES = {
    1: "there is not enough memory; choose a shorter context or a smaller model",
    2: "what was passed to it is not whole",
    3: "the system gave no thread; end other programs or set fewer with --threads",
}


class Library:
    """The loaded library's functions."""

    def __init__(self, loaded: ctypes.CDLL) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(loaded, f"kataribe_{name}")
            function.restype, function.argtypes = result, arguments
            self._functions[name] = function

    def call(self, name: str, *arguments: object) -> None:
        """Calls a function of `source/library.cpp`; `KataribeError` where it fails."""
        failure = self._functions[name](*arguments)
        if failure:
            raise KataribeError(f"The native runner's {name} failed: {_FAILURES[failure]}.")


@lru_cache(maxsize=1)
def native_library() -> Library | None:
    """The library, where it is built and this processor has what it asks for; else None."""
    return open_library(BUILT)


def open_library(path: Path) -> Library | None:
    """A build of this version that runs here; None where it is not there or does not."""
    if not path.is_file():
        return None
    try:
        loaded = ctypes.CDLL(str(path))
        version = int(loaded.kataribe_version())
    except (OSError, AttributeError):  # of another system or processor
        return None
    return Library(loaded) if version == VERSION else None


def address(array: NDArray[Any] | None) -> int | None:
    """Where a contiguous array lies."""
    if array is None:
        return None
    assert array.flags.c_contiguous
    return array.ctypes.data


def int32(values: object) -> NDArray[np.int32]:
    """As the library takes whole numbers; `KataribeError` for one that 32 bits do not hold."""
    found = np.ascontiguousarray(values, dtype=np.int32)
    if isinstance(values, np.ndarray) and not np.array_equal(found, values):  # it wraps around
        raise KataribeError("The native runner takes whole numbers of 32 bits; one is larger.")
    return found
