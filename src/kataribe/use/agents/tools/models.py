"""A specialised model as a tool: any `LM`, or a classifier."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from kataribe.base.encoders import Classification, Label
from kataribe.base.errors import InputError, KataribeError
from kataribe.base.lm import LM, Context, Request, Sampling, reply
from kataribe.base.messages import text_message, text_of
from kataribe.base.tool_calls import asking
from kataribe.use.agents.tools.function import FunctionTool, function_tool

MOST_TEXTS = 100

Classify: TypeAlias = Callable[[Sequence[str]], Awaitable[Classification]]
"""The labels of texts, as `Classifier.classify` gives them."""

_SHOWN_LABELS = 3


def lm_tool(
    lm: LM,
    *,
    name: str,
    description: str,
    system: str | None = None,
    sampling: Sampling | None = None,
) -> FunctionTool:
    """The tool that asks another model.

    `description` tells the calling model what this one is good at. The model sees nothing of the
    conversation, only the question (and `system`); it answers the same person within the same
    time. A reply that was cut says so in its last line.
    """
    settled = sampling or Sampling()

    async def ask_model(question: str) -> str:
        """Asks the model.

        Args:
            question: Everything that it needs to know; it sees nothing else.
        """
        if not question.strip():
            raise InputError("The question is empty; write all that the model needs to know.")
        messages = [text_message("user", question)]
        if system is not None:
            messages.insert(0, text_message("system", system))
        request = Request(tuple(messages), sampling=settled, context=_same_person())
        finished = await reply(lm, request)
        text = text_of(finished.message)
        if finished.reason == "stop":
            return text
        if not text:
            raise KataribeError(f"{lm.name} gave no text; it ended with {finished.reason}.")
        return f"{text}\n[The reply ended early: {finished.reason}.]"

    return function_tool(ask_model, name=name, description=description)


def _same_person() -> Context:
    """For whom the tool runs; limits are the meter's, which counts what a call causes."""
    context = asking.get()
    if context is None:
        return Context()
    return Context(context.user, context.conversation, context.deadline, trace=context.trace)


def classifier_tool(labelled: Classify, *, name: str, description: str) -> FunctionTool:
    """The tool that has texts, or spans in them, labelled by a model made for just that."""

    async def classify(texts: list[str]) -> str:
        """Labels texts.

        Args:
            texts: One or more texts, each labelled for itself.
        """
        if not 1 <= len(texts) <= MOST_TEXTS:
            raise InputError(f"{len(texts)} texts were given; give 1 to {MOST_TEXTS} at once.")
        return _told(texts, await labelled(texts))

    return function_tool(classify, name=name, description=description)


def _told(texts: list[str], found: Classification) -> str:
    lines = []
    for place, (text, labels) in enumerate(zip(texts, found.labels, strict=True), start=1):
        if any(label.start is not None for label in labels):
            shown = ", ".join(f"{_span(text, each)!r} is {each.name}" for each in labels)
        else:
            best = sorted(labels, key=lambda each: -each.score)[:_SHOWN_LABELS]
            shown = ", ".join(f"{each.name} {each.score:.3f}" for each in best)
        lines.append(f"{place}. {shown or 'nothing'}")
    return "\n".join(lines)


def _span(text: str, label: Label) -> str:
    return text[label.start : label.end]
