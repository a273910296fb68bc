"""Encoder-decoders' config.json in the words that other families use for the same sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_T5: Mapping[str, int] = {
    "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8,
    "n_positions": 512,
}  # fmt: skip
_BART: Mapping[str, int] = {
    "vocab_size": 50265, "max_position_embeddings": 1024, "decoder_layers": 12,
    "decoder_ffn_dim": 4096, "decoder_attention_heads": 16, "d_model": 1024,
}  # fmt: skip
_DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "t5": _T5,
    "mt5": {**_T5, "vocab_size": 250112, "d_ff": 1024, "num_layers": 8, "num_heads": 6},
    "bart": _BART,
    "mbart": _BART,
    "pegasus": _BART,
    "marian": {**_BART, "vocab_size": 58101},
}
"""Sizes where config.json leaves them out, as `make.model` has them; a test compares."""


def usual_words(config: Mapping[str, Any], family: str) -> dict[str, Any]:
    """A parsed config.json with the sizes of the decoder, whose layers keep the cache.

    The context is what source and target may have together.
    """
    said = {name: value for name, value in config.items() if value is not None}
    told = {**_DEFAULTS[family], **said}
    if family in ("t5", "mt5"):
        sizes = {
            "num_hidden_layers": told.get("num_decoder_layers", told["num_layers"]),
            "num_attention_heads": told["num_heads"],
            "head_dim": told["d_kv"],
            "intermediate_size": told["d_ff"],
        }
        length = told["n_positions"]
    else:
        sizes = {
            "num_hidden_layers": told["decoder_layers"],
            "num_attention_heads": told["decoder_attention_heads"],
            "intermediate_size": told["decoder_ffn_dim"],
        }
        length = told["max_position_embeddings"]
    both = 2 * length if isinstance(length, int | float) else length
    return {
        "vocab_size": told["vocab_size"],
        "hidden_size": told["d_model"],
        "max_position_embeddings": both,
        "tie_word_embeddings": family not in ("t5", "mt5"),  # theirs is known by their tensors
        **sizes,
    }
