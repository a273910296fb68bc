"""What makes two tokenizers the same one: equal pieces under equal ids, joined alike."""

from __future__ import annotations

import hashlib

from kataribe.make.tokens.tokenizer import Tokenizer

_PROBE = (
    "The quick brown fox isn't 1234567 km away.\n\n"
    "def naïve(x):\n    return {'値': x ** 2}  # コメント\n\t\tend\r\n"
    "吾輩は猫である。名前はまだ無い。カタカナﾊﾝｶｸ１２３が゙、"
    "😀👩‍👩‍👧 Ελληνικά русский עברית العربية ไทย 한국어\x00\ufffd"
)


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """64 hexadecimal digits that are equal for tokenizers that give equal ids.

    They come from what the tokenizer does and not from its file, because a folder that
    `transformers` wrote anew and a GGUF export hold the same tokenizer in other bytes: the bytes
    of every piece, the control tokens, and the ids of a text of many scripts, which depend on the
    order of merges and on how words are cut.
    """
    digest = hashlib.sha256(b"kataribe tokenizer 1")
    for piece in tokenizer.vocabulary_bytes():
        digest.update(len(piece).to_bytes(4, "little") + piece)
    digest.update(repr(sorted(tokenizer.special_ids)).encode())
    digest.update(repr(tokenizer.encode(_PROBE, special=False, add_bos=False)).encode())
    return digest.hexdigest()
