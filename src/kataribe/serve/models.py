"""What the server needs from whoever holds the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from kataribe.base.lm import LM, Thinking, ToolSpec
from kataribe.base.messages import Message

Use: TypeAlias = Literal["write", "embed", "classify"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that can be asked for.

    Attributes:
        name: What it is asked for by.
        created: When it came here, in seconds since 1970.
        owned_by: Who made it.
        loaded: It is in memory now.
        context_length: Tokens of prompt and reply together; None when nobody knows before loading.
        use: What can be asked of it: to write, to make vectors of texts, or to label them.
        is_assistant: It puts words, tools and facts of its own around what it is asked.
    """

    name: str
    created: int
    owned_by: str
    loaded: bool
    context_length: int | None
    use: Use = "write"
    is_assistant: bool = False


class TextTokenizer(Protocol):
    """Text to token ids and back."""

    @property
    def vocab_size(self) -> int:
        """Ids run from 0 to this, exclusive."""
        ...

    def encode(self, text: str, *, special: bool = True, add_bos: bool | None = None) -> list[int]:
        """The ids of `text`; `add_bos` None follows the model's own habit."""
        ...

    def chat_ids(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        add_generation_prompt: bool = True,
        continue_last: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """The ids of a conversation: exactly those that the model reads when it is asked.

        Raises `UnsupportedError` for a model without a chat template, and `TemplateError`.
        """
        ...

    def thinking(self, wish: Thinking | None) -> Mapping[str, Any]:
        """The template's variables that a wish to think is to the model; none where it is none."""
        ...

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The ids as the vocabulary writes them; empty for an id that it has no piece for."""
        ...

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """The text of `ids`."""
        ...


class ModelSource(Protocol):
    """Holds the models: loads on request, keeps to a memory budget."""

    def names(self) -> Sequence[ModelInfo]:
        """Every model that can be asked for, loaded or not."""
        ...

    def lease(self, name: str) -> AbstractAsyncContextManager[LM]:
        """The model for as long as the context lasts; loads it first where needed.

        Raises `NotFoundError`, `BusyError` or `UnavailableError` on entering.
        """
        ...

    def tokenizer(self, name: str) -> AbstractAsyncContextManager[TextTokenizer]:
        """The model's tokenizer, without loading its weights; raises `NotFoundError`."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure for `/metrics`, such as requests in the queue.

    `name` is without the prefix `kataribe_`; a counter's ends in `_total`.
    """

    name: str
    value: float
    help: str
    kind: Literal["gauge", "counter"] = "gauge"
    labels: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class MetricsSource(Protocol):
    """A `ModelSource` that also has figures of its own to show at `/metrics`."""

    def metrics(self) -> Sequence[Sample]:
        """The figures as they are now; cheap, called at every scrape."""
        ...


class InMemory(Protocol):
    """A model in memory."""

    @property
    def name(self) -> str:
        """What it is asked for by."""
        ...

    @property
    def state(self) -> Literal["loading", "ready"]:
        """Whether it can answer already."""
        ...

    @property
    def memory(self) -> int:
        """Bytes that it takes, as estimated."""
        ...

    @property
    def held(self) -> bool:
        """It stays until it is unloaded."""
        ...

    @property
    def leases(self) -> int:
        """Requests that it answers now."""
        ...

    @property
    def idle(self) -> float:
        """Seconds since it answered last."""
        ...


@runtime_checkable
class ModelControl(Protocol):
    """A `ModelSource` whose models can be loaded and unloaded by hand. All calls may block."""

    def in_memory(self) -> Sequence[InMemory]:
        """The models in memory, most recently used first."""
        ...

    def load(self, name: str, *, hold: bool = True) -> InMemory:
        """Loads and holds a model; raises `NotFoundError` or `UnavailableError`."""
        ...

    def unload(self, name: str, *, force: bool = False) -> None:
        """Lets a model go; raises `NotFoundError`, or `BusyError` while it answers."""
        ...
