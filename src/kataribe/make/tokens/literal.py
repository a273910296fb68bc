"""A tokenizer beside another one, for which the texts of control tokens are ordinary text."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping

import tokenizers

from kataribe.base.errors import KataribeError
from kataribe.make.tokens.unigram_literal import without_control_pieces


class LiteralTokenizer:
    """What `genuine` makes of a text in which nobody can write a control token.

    The library has a switch for that, but turning it waits until no text is being encoded, and
    everybody else waits meanwhile. So this is a second tokenizer over the same model (shared, not
    copied), and neither ever changes: more aliases make a new object.

    Args:
        genuine: The tokenizer that recognises control tokens.
        special_texts: Control tokens, text to id.
        aliases: Control tokens that are wanted after all, and the texts that stand for them.
    """

    def __init__(
        self,
        genuine: tokenizers.Tokenizer,
        special_texts: Mapping[str, int],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._genuine = genuine
        self._special_texts = special_texts
        self.aliases: Mapping[str, str] = aliases or {}
        self.inner = without_control_pieces(genuine, special_texts) or _beside(genuine)
        self.inner.add_tokens([self._alias(*pair) for pair in self.aliases.items()])
        self.inner.encode_special_tokens = True
        self.ids: Mapping[int, tuple[int, ...]] = dict(map(self._meant, self.aliases.items()))

    def knowing(self, special_texts: Iterable[str]) -> LiteralTokenizer:
        """This one, or one more that has aliases for these control tokens too."""
        lacking = sorted(set(special_texts) - self.aliases.keys())
        if not lacking:
            return self
        new = {text: f"\ue000{10**39 + secrets.randbelow(9 * 10**39)}\ue001" for text in lacking}
        return LiteralTokenizer(self._genuine, self._special_texts, {**self.aliases, **new})

    def _meant(self, pair: tuple[str, str]) -> tuple[int, tuple[int, ...]]:
        special_text, alias = pair
        alias_id = self.inner.token_to_id(alias)
        if alias_id is None:
            raise KataribeError(f"The tokenizer took no alias for {special_text!r}.")
        return alias_id, (self._special_texts[special_text],)

    def _alias(self, special_text: str, alias: str) -> tokenizers.AddedToken:
        known = self._genuine.get_added_tokens_decoder().get(self._special_texts[special_text])
        return tokenizers.AddedToken(
            alias,
            lstrip=known is not None and known.lstrip,
            rstrip=known is not None and known.rstrip,
            normalized=False,
            special=False,
        )


def _beside(genuine: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A tokenizer with the same parts; the library shares them between the two."""
    added = sorted(genuine.get_added_tokens_decoder().items())
    made = tokenizers.Tokenizer(genuine.model)
    if genuine.normalizer is not None:
        made.normalizer = genuine.normalizer
    if genuine.pre_tokenizer is not None:
        made.pre_tokenizer = genuine.pre_tokenizer
    made.add_tokens([token for _, token in added])
    numbers = {index: token.content for index, token in made.get_added_tokens_decoder().items()}
    if numbers == {index: token.content for index, token in added}:
        return made
    # The file numbers its tokens with gaps, which adding one after another cannot make.
    return tokenizers.Tokenizer.from_str(genuine.to_str())
