"""The tokens of the scripted model: bytes, with log-probabilities that never change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kataribe.base.errors import InputError
from kataribe.base.events import TokenLogprob
from kataribe.base.lm import Thinking, ToolSpec
from kataribe.base.messages import (
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)


class ScriptedTokenizer:
    """One token per byte of UTF-8; 256 begins and 257 ends a text."""

    vocab_size = 258
    bos_id = 256
    eos_id = 257

    def encode(self, text: str, *, special: bool = True, add_bos: bool | None = None) -> list[int]:
        """The bytes of `text`; `special` changes nothing, since no text means a special token."""
        del special
        return [self.bos_id] * bool(add_bos) + list(text.encode("utf-8", "replace"))

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """The text of `ids`, with replacement characters where bytes make none."""
        words = b"".join(self.token_bytes(token) for token in ids)
        del skip_special  # the two special tokens have no text either way
        return words.decode("utf-8", "replace")

    def chat_ids(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        add_generation_prompt: bool = True,
        continue_last: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """The tokens that a chat counts as: its messages' words, each message begun by one token.

        A scripted model reads nothing else, so the other arguments change nothing.
        """
        del tools, add_generation_prompt, continue_last, variables
        said = (self.encode(_words(message), add_bos=True) for message in messages)
        return [token for ids in said for token in ids]

    def thinking(self, wish: Thinking | None) -> dict[str, Any]:
        """A scripted model has no chat template, so it is nothing to it."""
        del wish
        return {}

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The name of each byte, and of the two special tokens."""
        names = {self.bos_id: "<s>", self.eos_id: "</s>"}
        return [names.get(token, f"<0x{token:02X}>") for token in ids]

    def token_bytes(self, token_id: int) -> bytes:
        """The one byte of a token; none for the two special ones."""
        if not 0 <= token_id < self.vocab_size:
            raise InputError(
                f"Token id {token_id} is outside the vocabulary of {self.vocab_size}.",
                param="prompt",
            )
        return bytes([token_id]) if token_id < 256 else b""


def logprobs_of(
    ids: Sequence[int], top: int | None, *, first_is_known: bool = True
) -> tuple[TokenLogprob, ...]:
    """Made-up log-probabilities, the same every time: each token is the likeliest at its place.

    `top` is how many of the likeliest stand beside each; None gives nothing at all. The first
    token of a prompt is not `first_is_known`, because nothing predicts it.
    """
    if top is None:
        return ()
    return tuple(
        _unknown(token) if place == 0 and not first_is_known else _known(token, top)
        for place, token in enumerate(ids)
    )


def _unknown(token: int) -> TokenLogprob:
    raw = ScriptedTokenizer().token_bytes(token)
    return TokenLogprob(token, raw.decode("utf-8", "replace"), raw, None)


def _known(token: int, top: int) -> TokenLogprob:
    def at(token_id: int, rank: int) -> TokenLogprob:
        raw = ScriptedTokenizer().token_bytes(token_id)
        return TokenLogprob(token_id, raw.decode("utf-8", "replace"), raw, -0.25 * (rank + 1))

    likeliest = tuple(at((token + rank) % 256, rank) for rank in range(top))
    said = at(token, 0)
    return TokenLogprob(said.token_id, said.token, said.raw, said.logprob, likeliest)


def _words(message: Message) -> str:
    words = []
    for part in message.parts:
        match part:
            case TextPart(text) | ReasoningPart(text):
                words.append(text)
            case ToolCallPart(_, name, arguments):
                words.append(name + arguments)
            case ToolResultPart(_, content):
                words.append(content)
            case _:
                pass  # pictures and sounds have no words to count
    return "".join(words)
