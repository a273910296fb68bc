"""llama.cpp's own logits as the reference: its C functions, out of the library in xllamacpp."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_POINTER = ctypes.c_void_p
_INT = ctypes.c_int32


class _Params(ctypes.Structure):
    # Larger than the real structures, which the calling convention allows for the last argument.
    _fields_ = [("bytes", ctypes.c_ubyte * 1024)]


class _Batch(ctypes.Structure):
    """`llama_batch`."""

    _fields_ = [
        ("n_tokens", _INT),
        ("token", ctypes.POINTER(_INT)),
        ("embd", _POINTER),
        ("pos", ctypes.POINTER(_INT)),
        ("n_seq_id", ctypes.POINTER(_INT)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(_INT))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


_SILENT = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
_N_CTX, _N_BATCH, _N_UBATCH, _FLASH, _TYPE_K, _TYPE_V = 0, 1, 2, 13, 26, 27
_DEFAULTS = {_N_CTX: 512, _N_BATCH: 2048, _N_UBATCH: 512, _FLASH: 2**32 - 1, _TYPE_K: 1, _TYPE_V: 1}
"""Where these lie in `llama_context_params`, in fours of bytes, and what stands there."""


def _library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("xllamacpp")
    assert spec is not None
    assert spec.origin is not None
    (path,) = Path(spec.origin).parent.glob("xllamacpp*.so")
    library = ctypes.CDLL(str(path))
    for name, arguments, result in (
        ("llama_model_default_params", [], _Params),
        ("llama_model_load_from_file", [ctypes.c_char_p, _Params], _POINTER),
        ("llama_model_free", [_POINTER], None),
        ("llama_context_default_params", [], _Params),
        ("llama_init_from_model", [_POINTER, _Params], _POINTER),
        ("llama_free", [_POINTER], None),
        ("llama_model_get_vocab", [_POINTER], _POINTER),
        ("llama_vocab_n_tokens", [_POINTER], _INT),
        ("llama_batch_init", [_INT, _INT, _INT], _Batch),
        ("llama_batch_free", [_Batch], None),
        ("llama_decode", [_POINTER, _Batch], _INT),
        ("llama_get_logits_ith", [_POINTER, _INT], ctypes.POINTER(ctypes.c_float)),
        ("llama_model_chat_template", [_POINTER, ctypes.c_char_p], ctypes.c_char_p),
        ("llama_vocab_is_eog", [_POINTER, _INT], ctypes.c_bool),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library


class LlamaModel:
    """A GGUF file in llama.cpp, keys and values in float32."""

    def __init__(self, path: Path, context: int = 512) -> None:
        self._library = library = _library()
        library.llama_log_set(_SILENT, None)
        library.llama_backend_init()
        self._model = library.llama_model_load_from_file(
            str(path).encode(), library.llama_model_default_params()
        )
        assert self._model, f"llama.cpp does not open {path}"
        self._params = library.llama_context_default_params()
        numbers = ctypes.cast(ctypes.byref(self._params), ctypes.POINTER(ctypes.c_uint32))
        known = {place: numbers[place] for place in _DEFAULTS}
        assert known == _DEFAULTS, "llama_context_params has another layout"
        numbers[_N_CTX] = numbers[_N_BATCH] = numbers[_N_UBATCH] = context
        numbers[_FLASH] = numbers[_TYPE_K] = numbers[_TYPE_V] = 0
        self._vocabulary = library.llama_model_get_vocab(self._model)

    @property
    def vocab_size(self) -> int:
        return int(self._library.llama_vocab_n_tokens(self._vocabulary))

    @property
    def chat_template(self) -> str | None:
        found = self._library.llama_model_chat_template(self._model, None)
        return None if found is None else found.decode()

    def ends(self, token_id: int) -> bool:
        """Whether the token ends a reply."""
        return bool(self._library.llama_vocab_is_eog(self._vocabulary, token_id))

    def logits(self, ids: Sequence[int]) -> np.ndarray:
        """float32 (tokens, vocabulary) for a sequence from its beginning."""
        library, size = self._library, len(ids)
        context = library.llama_init_from_model(self._model, self._params)
        assert context
        batch = library.llama_batch_init(size, 0, 1)
        batch.n_tokens = size
        for place, token in enumerate(ids):
            batch.token[place], batch.pos[place] = token, place
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
            batch.logits[place] = 1
        assert library.llama_decode(context, batch) == 0
        rows = [
            np.ctypeslib.as_array(library.llama_get_logits_ith(context, place), (self.vocab_size,))
            for place in range(size)
        ]
        found = np.stack(rows).astype(np.float32)
        library.llama_batch_free(batch)
        library.llama_free(context)
        return found

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The likeliest continuation."""
        known = list(ids)
        for _ in range(count):
            known.append(int(self.logits(known)[-1].argmax()))
        return known[len(ids) :]

    def close(self) -> None:
        """Gives the weights back."""
        self._library.llama_model_free(self._model)
