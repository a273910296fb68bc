"""A Unigram tokenizer that cannot be talked into its control tokens.

Other models make a control token only where the library recognises its text as a whole. A Unigram
model (Kudo 2018) has the control tokens among its pieces, and takes `</s>` in a text for the best
way to cut it, whether they are recognised or not. So these pieces are renamed to what nobody can
guess; their ids stay.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection

import tokenizers


def without_control_pieces(
    genuine: tokenizers.Tokenizer, control: Collection[str]
) -> tokenizers.Tokenizer | None:
    """The same tokenizer without these pieces; None where its model is of another kind.

    Control tokens that are pieces are not recognised by it any more; others keep their numbers.
    """
    if not isinstance(genuine.model, tokenizers.models.Unigram):
        return None
    # The model alone: what a GGUF file says of normalisation has no form in a file.
    file = json.loads(tokenizers.Tokenizer(genuine.model).to_str())
    vocabulary = file["model"]["vocab"]
    pieces = {piece for piece, _ in vocabulary} & set(control)
    secret = f"\ue000{10**39 + secrets.randbelow(9 * 10**39)}"
    file["model"]["vocab"] = [
        [f"{secret}{place}\ue001" if piece in pieces else piece, score]
        for place, (piece, score) in enumerate(vocabulary)
    ]
    made = tokenizers.Tokenizer.from_str(json.dumps(file))
    if genuine.normalizer is not None:
        made.normalizer = genuine.normalizer
    if genuine.pre_tokenizer is not None:
        made.pre_tokenizer = genuine.pre_tokenizer
    if genuine.decoder is not None:
        made.decoder = genuine.decoder
    for _, token in sorted(genuine.get_added_tokens_decoder().items()):
        if token.content not in pieces:
            (made.add_special_tokens if token.special else made.add_tokens)([token])
    return made
