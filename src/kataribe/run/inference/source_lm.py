"""A local encoder-decoder as an `LM`: one text in, what the model makes of it out.

Such a model answers a text; it does not continue one, and it has no conversation. Without a chat
template a chat is understood by one rule: it holds one message of the user, which is the source.
A system text goes before it with one blank between them, as these models were taught ("translate
English to German: ..."). More turns are an error, because the model would know nothing of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kataribe.base.errors import UnsupportedError
from kataribe.base.inside import Inspector
from kataribe.base.lm import Capabilities, Prompt, Request, Sampling
from kataribe.base.messages import Message, text_of
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.run.inference.conversation import chat_ids, template_variables
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.local import LocalLM, RequestPlan, checked_messages, is_chat
from kataribe.run.inference.requests import GenerationRequest


class EncoderDecoderLM(LocalLM):
    """An encoder-decoder on this machine; an `LM` and a `Scorer`.

    Args:
        name: The name it is asked for by.
        engine: Where its tokens are computed; this object does not close it.
        tokenizer: Its tokenizer.
        context_length: Tokens of source and reply together.
        start: The ids that every reply begins with, and that are no part of it.
        vocab_size: Columns of the model's logits, where they are more than the tokenizer's ids.
        defaults: Sampling that fills what a request leaves open.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        tokenizer: Tokenizer,
        *,
        context_length: int,
        start: tuple[int, ...],
        vocab_size: int | None = None,
        defaults: Sampling | None = None,
    ) -> None:
        super().__init__(
            name,
            engine,
            tokenizer,
            context_length=context_length,
            vocab_size=vocab_size,
            defaults=defaults,
        )
        self._start = start

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(
            self._context_length,
            tools=False,
            logprobs=True,
            structured_output=True,
            raw_prompt=True,
        )

    async def inspector(self) -> Inspector:
        """Not built: what is shown there is a text that a decoder reads from left to right."""
        raise UnsupportedError(
            f"{self._name} is an encoder-decoder: it reads its source both ways, and the view of "
            "a model from inside shows decoders. Choose one of these.",
            param="model",
        )

    def _plan(self, request: Request) -> RequestPlan:
        if request.tools:
            raise UnsupportedError(
                f"{self._name} is an encoder-decoder, which was not taught to call tools.",
                param="tools",
            )
        if request.continue_last:
            raise UnsupportedError(
                f"{self._name} answers a source; it cannot go on with a reply that is given.",
                param="continue_final_message",
            )
        plan = super()._plan(request)
        # Its words begin a text of their own.
        return dataclasses.replace(plan, generation=self._behind_source(plan.generation))

    def _behind_source(self, generation: GenerationRequest) -> GenerationRequest:
        source = len(generation.ids) - len(self._start)
        return dataclasses.replace(generation, source=source, continues=False)

    def _echoed(self, prompt: Prompt, ids: tuple[int, ...]) -> tuple[str, int]:
        if isinstance(prompt, str):
            return prompt, 0
        return self._tokenizer.decode(ids[: len(ids) - len(self._start)]), 0

    def _encode(self, request: Request) -> tuple[tuple[int, ...], bool]:
        prompt = request.prompt
        if not isinstance(prompt, str) and not is_chat(prompt):
            return (*(token for token in prompt if isinstance(token, int)), *self._start), False
        if isinstance(prompt, str):
            source = self._source_ids(prompt, special=True)
        elif self._tokenizer.chat_template is not None:
            source = chat_ids(
                self._tokenizer,
                checked_messages(prompt, self._name),
                variables=template_variables(self._tokenizer, request),
                limit=self._engine.context_length,
            )
        else:
            text = self._only_message(checked_messages(prompt, self._name))
            source = self._source_ids(text, special=False)
        return (*source, *self._start), False

    def _source_ids(self, text: str, *, special: bool) -> list[int]:
        """With what the tokenizer puts around a text: T5's end token, BART's begin and end."""
        return self._tokenizer.encode(text, special=special, limit=self._engine.context_length)

    def _only_message(self, messages: Sequence[Message]) -> str:
        """The source that a chat means, by the rule above."""
        said = [message for message in messages if message.role != "system"]
        if len(said) != 1 or said[0].role != "user":
            roles = ", ".join(message.role for message in messages)
            raise UnsupportedError(
                f"{self._name} answers one message and knows nothing of earlier turns, but the "
                f"chat has these: {roles}. Send one message of the user, with a system text "
                "before it if you like; in a conversation, begin a new one.",
                param="messages",
            )
        texts = [text_of(message) for message in messages]
        if messages[-1].role == "system":
            raise UnsupportedError(
                "A system text stands before the user's message, not behind it.", param="messages"
            )
        return " ".join(text for text in texts if text)

    def _to_score(self, prompt: str, continuation: str) -> GenerationRequest:
        source = self._source_ids(prompt, special=True)
        # Only what the continuation says: its end token is not asked for.
        target = self._tokenizer.encode(continuation, add_bos=False)
        ids = (*source, *self._start, *target)
        behind = len(source) + len(self._start)
        return GenerationRequest(
            ids, logprobs=1, echo=True, score_only=True, score_from=behind, source=len(source)
        )


def greedy_unless_told(sampling: Sampling) -> Sampling:
    """Sampling of these models where nobody chose one: the likeliest token, as they were made for.

    `transformers`, too, draws from them only where their files say so.
    """
    if sampling.temperature is None:
        return dataclasses.replace(sampling, temperature=0.0)
    return sampling
