"""The tokenizer of a GGUF file as the files of a Hugging Face folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, decoders, models, normalizers, processors
from tokenizers import Tokenizer as Inner

from kataribe.base.errors import UnsupportedError
from kataribe.files.gguf import open_gguf
from kataribe.make.tokens.gguf_metadata import Tokens, read_tokens
from kataribe.make.tokens.gguf_tokenizer import listed_merges, score_merges
from kataribe.make.tokens.pieces import SPACE_MARK
from kataribe.make.tokens.pretokenizers import pre_tokenizer


def folder_files(path: Path) -> dict[str, str]:
    """Name -> text of tokenizer.json, tokenizer_config.json and the chat template.

    Raises `UnsupportedError` for a kind whose work a tokenizer.json cannot describe, `FormatError`
    for a damaged file.
    """
    tokens = read_tokens(path.name, open_gguf(path).metadata)
    if tokens.kind not in ("gpt2", "llama") or tokens.normalizes:
        raise UnsupportedError(
            f"{path.name} has a tokenizer of kind {tokens.kind}"
            + (" with a normalisation of its own" if tokens.normalizes else "")
            + ", which is written as no tokenizer.json here; gpt2 and llama are. Take the model's "
            "own Hugging Face folder."
        )
    inner = _byte_level(tokens) if tokens.kind == "gpt2" else _sentencepiece(tokens)
    _add_tokens(inner, tokens)
    _put_around(inner, tokens)
    names = tokens.names()
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **names,
    }
    files = {
        "tokenizer.json": inner.to_str(pretty=False),
        "tokenizer_config.json": json.dumps(config, ensure_ascii=False, indent=2) + "\n",
    }
    if tokens.chat_template is not None:
        files["chat_template.jinja"] = tokens.chat_template
    if tokens.tool_template is not None:
        files["additional_chat_templates/tool_use.jinja"] = tokens.tool_template
    return files


def _byte_level(tokens: Tokens) -> Inner:
    rule = pre_tokenizer(tokens.pre)
    inner = Inner(
        models.BPE(
            vocab=dict(tokens.ids),
            merges=listed_merges(tokens),
            ignore_merges=rule.ignore_merges,
        )
    )
    inner.pre_tokenizer = rule.build()
    inner.decoder = decoders.ByteLevel()
    return inner


def _sentencepiece(tokens: Tokens) -> Inner:
    unknown = tokens.unknown_id
    inner = Inner(
        models.BPE(
            vocab=dict(tokens.ids),
            merges=score_merges(tokens),
            unk_token=None if unknown is None else tokens.pieces[unknown],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    steps: list[Any] = [normalizers.Replace(" ", SPACE_MARK)]
    undo: list[Any] = [decoders.Replace(SPACE_MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
    if tokens.add_space_prefix:
        steps.insert(0, normalizers.Prepend(SPACE_MARK))
        undo.append(decoders.Strip(" ", 1, 0))
    inner.normalizer = normalizers.Sequence(steps)
    inner.decoder = decoders.Sequence(undo)
    return inner


def _add_tokens(inner: Inner, tokens: Tokens) -> None:
    def added(index: int) -> AddedToken:
        return AddedToken(
            tokens.pieces[index],
            special=index in tokens.control,
            normalized=False,
            lstrip=index in tokens.lstrip,
            rstrip=index in tokens.rstrip,
        )

    inner.add_tokens([added(index) for index in sorted(tokens.control | tokens.user_defined)])


def _put_around(inner: Inner, tokens: Tokens) -> None:
    around = {tokens.pieces[each]: each for each in (*tokens.prefix, *tokens.suffix)}
    if not around:
        return
    before, after = (
        [tokens.pieces[each] for each in ids] for ids in (tokens.prefix, tokens.suffix)
    )
    inner.post_processor = processors.TemplateProcessing(
        single=[*before, "$A", *after],
        pair=[*before, "$A", *after, *before, "$B", *after],
        special_tokens=list(around.items()),
    )
