"""What a source tells of a model without a card, before any of its weights come."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError
from kataribe.run.catalog.cards import ModelFacts, TensorGroup
from kataribe.run.catalog.facts import config_facts, is_tied, read_facts
from kataribe.run.catalog.layout import check_family, read_json
from kataribe.run.catalog.pulling import choose_files
from kataribe.run.catalog.sources import FileSource, HubSource, Source

_KINDS = {"float32": ("F32", 4), "bfloat16": ("BF16", 2), "float16": ("F16", 2)}
_OTHER_SENSES = ("vision_config", "audio_config")
_HEADER = (
    "Its sizes stand in the header of the GGUF file. They are read when it is pulled, and then "
    "`fit` can tell."
)
_PACKAGE = (
    "A package does not tell what model is in it, nor how big. Its sizes are read when it is "
    "pulled, and then `fit` can tell."
)


@dataclass(frozen=True, slots=True)
class Foretold:
    """Sizes, where they are known.

    Attributes:
        facts: With the weights' sum and no single one; None where `unknown` says why.
        download: Bytes to fetch; None where nobody knows.
        unknown: A sentence.
    """

    facts: ModelFacts | None
    download: int | None
    unknown: str = ""


def foretell(source: Source) -> Foretold:
    """Reads a file's header, or a hub's list of files and config.json; raises as `pull` does."""
    if isinstance(source, FileSource):
        return Foretold(read_facts(source.path), 0)
    if isinstance(source, HubSource):
        return _of_hub(source)
    return Foretold(None, None, _PACKAGE)


def _of_hub(source: HubSource) -> Foretold:
    from kataribe.run.catalog.hub import open_hub  # brings httpx, which only this needs

    with open_hub() as hub, tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        found = hub.repository(source.repo, source.revision)
        weights, texts = choose_files(source, found, hub, folder)
        download = sum(found.files[name].size for name in (*weights, *texts))
        if weights[0].endswith(".gguf"):
            return Foretold(None, download, _HEADER)
        if "config.json" not in texts:
            raise FormatError(f"{found.url} has weights but no config.json, so it cannot be built.")
        hub.fetch(found, found.files["config.json"], folder / "config.json", lambda _done: None)
        config = read_json(folder / "config.json")
    size = sum(found.files[name].size for name in weights)
    facts = config_facts(config, (), size, found.url)  # refuses families that are not built
    kind = _kind(config)
    if kind is None:
        why = "Its config.json does not tell how many bytes of its files are weights of its text."
        return Foretold(None, download, f"{why} Pull it, and then `fit` can tell.")
    tied = is_tied(config, check_family(config, found.url))
    return Foretold(replace(facts, groups=_groups(facts, size, *kind, tied=tied)), download)


def _kind(config: Mapping[str, Any]) -> tuple[str, int] | None:
    """The weights' type and bytes for each; None where they are packed, or not of a text alone."""
    if "quantization_config" in config or any(name in config for name in _OTHER_SENSES):
        return None
    told = config.get("dtype") or config.get("torch_dtype") or "float32"
    return _KINDS.get(told) if isinstance(told, str) else None


def _groups(
    facts: ModelFacts, size: int, kind: str, each: int, *, tied: bool
) -> tuple[TensorGroup, ...]:
    """All weights: embedding and head by their widths, the rest as one; norms are too few."""
    table = facts.vocab_size * facts.hidden_size
    roles = ("embedding",) if tied else ("embedding", "head")
    rest = max(size // each - len(roles) * table, 0)
    return (
        *(TensorGroup(role, kind, table, facts.vocab_size) for role in roles),
        TensorGroup("matrix", kind, rest, rest // facts.hidden_size),
    )
