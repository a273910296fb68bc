"""llama.cpp's own tokenizer as the reference: its C functions, out of the library in xllamacpp."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

VOCAB_ONLY = 72
"""Where `llama_model_params.vocab_only` lies. A wrong offset makes files without tensors fail."""


class _Params(ctypes.Structure):
    # Larger than the real structure, which the calling convention allows for the last argument.
    _fields_ = [("bytes", ctypes.c_ubyte * 512)]


def _library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("xllamacpp")
    assert spec is not None
    assert spec.origin is not None
    (path,) = Path(spec.origin).parent.glob("xllamacpp*.so")
    library = ctypes.CDLL(str(path))
    library.llama_model_default_params.restype = _Params
    library.llama_model_load_from_file.argtypes = [ctypes.c_char_p, _Params]
    library.llama_model_load_from_file.restype = ctypes.c_void_p
    library.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
    library.llama_model_get_vocab.restype = ctypes.c_void_p
    library.llama_tokenize.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.POINTER(ctypes.c_int32),
        ctypes.c_int32,
        ctypes.c_bool,
        ctypes.c_bool,
    ]
    library.llama_token_to_piece.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.c_int32,
        ctypes.c_bool,
    ]
    return library


_SILENT = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


class LlamaVocabulary:
    """The vocabulary of a GGUF file as llama.cpp reads it."""

    def __init__(self, path: Path) -> None:
        self._library = _library()
        self._library.llama_log_set(_SILENT, None)
        self._library.llama_backend_init()
        parameters = self._library.llama_model_default_params()
        parameters.bytes[VOCAB_ONLY] = 1
        model = self._library.llama_model_load_from_file(str(path).encode(), parameters)
        assert model, f"llama.cpp does not open {path}"
        self._vocabulary = self._library.llama_model_get_vocab(model)

    def encode(self, text: str, *, add: bool = False, special: bool = True) -> list[int]:
        data = text.encode()
        room = (ctypes.c_int32 * (len(data) + 16))()
        count = self._library.llama_tokenize(
            self._vocabulary, data, len(data), room, len(room), add, special
        )
        assert count >= 0
        return list(room[:count])

    def piece(self, token_id: int) -> bytes:
        room = ctypes.create_string_buffer(4096)
        count = self._library.llama_token_to_piece(
            self._vocabulary, token_id, room, len(room), 0, ctypes.c_bool(1)
        )
        assert count >= 0
        return room.raw[:count]
