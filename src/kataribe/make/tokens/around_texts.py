"""A tokenizer's folder made to put around a text what a model in training saw around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Inner
from tokenizers import processors

from kataribe.files.atomic import write_atomic
from kataribe.make.tokens.document_marks import DocumentMarks
from kataribe.make.tokens.folder import read_inner


def put_around(folder: Path, marks: DocumentMarks, *, begins: bool) -> None:
    """Makes the tokenizer of a folder put `marks` around every text; without `begins` the end only.

    A folder that does so already keeps its files as they are, and so does one whose tokenizer no
    tokenizer.json can hold. Otherwise the class becomes the plain one: of others `transformers`
    builds anew what stands around a text, after their name.
    Raises `FormatError` for a damaged tokenizer, `StorageError` where it cannot be written.
    """
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        return
    inner, description, _ = read_inner(folder)
    before = (marks.begin,) if begins else ()
    plain = inner.encode("a", add_special_tokens=False).ids
    if inner.encode("a").ids == [*before, *plain, marks.end]:
        return
    template = _template(inner, before, marks.end)
    rest = _trimming(description.get("post_processor"))
    inner.post_processor = processors.Sequence([*rest, template]) if rest else template
    write_atomic(folder / "tokenizer.json", inner.to_str(pretty=True))
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    config = {name: config[name] for name in config if name not in _SAYING_OTHERWISE}
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    write_atomic(path, json.dumps(config, ensure_ascii=False, indent=1) + "\n")


_SAYING_OTHERWISE = ("add_bos_token", "add_eos_token", "auto_map")
"""Settings by which `transformers` would put something else around a text."""


def _template(inner: Inner, before: tuple[int, ...], end: int) -> processors.TemplateProcessing:
    first, last = [inner.id_to_token(each) for each in before], inner.id_to_token(end)
    return processors.TemplateProcessing(
        single=[*first, "$A", last],
        pair=[*first, "$A", last, *first, "$B", last],
        special_tokens=list({*((inner.id_to_token(each), each) for each in (*before, end))}),
    )


def _trimming(step: Any) -> list[processors.ByteLevel]:
    """What a post-processor does to tokens' places in the text, by which tags are read."""
    if not isinstance(step, Mapping):
        return []
    if step.get("type") == "Sequence":
        return [found for each in step.get("processors", ()) for found in _trimming(each)]
    if step.get("type") not in ("ByteLevel", "RobertaProcessing"):
        return []
    return [
        processors.ByteLevel(
            add_prefix_space=bool(step.get("add_prefix_space", True)),
            trim_offsets=bool(step.get("trim_offsets", True)),
        )
    ]
