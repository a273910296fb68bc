"""Tokenizers out of model folders in Hugging Face layout."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tokenizers

from kataribe.base.errors import FormatError, StorageError
from kataribe.make.tokens.ends import known_ends
from kataribe.make.tokens.folder_older import convert_older, load_sentencepiece
from kataribe.make.tokens.pieces import (
    Notation,
    byte_level_bytes,
    byte_of_piece,
    sentencepiece_bytes,
    word_bytes,
)
from kataribe.make.tokens.refusals import Refusals
from kataribe.make.tokens.templates import ChatTemplate
from kataribe.make.tokens.tokenizer import Tokenizer, Vocabulary

log = logging.getLogger("kataribe.tokens")

_SPECIAL_NAMES = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
)  # fmt: skip


def load_folder_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder: tokenizer.json and what stands around it.

    Raises `FormatError` for a folder without a tokenizer or with a damaged one.
    """
    path = folder / "tokenizer.json"
    config = _read(folder / "tokenizer_config.json")
    model = folder / "tokenizer.model"
    if model.exists() and not path.exists() and not (folder / "vocab.json").exists():
        names = {name: _content(config[name]) for name in _SPECIAL_NAMES if config.get(name)}
        return load_sentencepiece(model, config, _chat_template(folder, config, names))
    inner, description, names = read_inner(folder)
    added = inner.get_added_tokens_decoder()
    special = {token.content: index for index, token in added.items() if token.special}
    size = 1 + max(inner.get_vocab(with_added_tokens=True).values(), default=-1)
    if size == 0:
        raise FormatError(f"{path} has an empty vocabulary.")
    notation = _notation(path, description)
    prefix, suffix = _around(inner)
    if not path.exists():  # beside a tokenizer.json these two mean nothing (as in `transformers`)
        bos, eos = _id_of(inner, names, "bos_token"), _id_of(inner, names, "eos_token")
        prefix = (bos,) if bos is not None and config.get("add_bos_token") else ()
        suffix = (eos,) if eos is not None and config.get("add_eos_token") else ()
    template = _chat_template(folder, config, names)
    return Tokenizer(
        Vocabulary(
            inner=inner,
            size=size,
            piece_bytes=_piece_bytes(inner, notation, description, added),
            special_texts=special,
            bos_id=_id_of(inner, names, "bos_token", "cls_token"),
            pad_id=_id_of(inner, names, "pad_token"),
            eos_ids=_end_ids(folder, inner, names, size),
            prefix=prefix,
            suffix=suffix,
            strips_leading_space=_strips(description),
            chat_template=template,
        )
    )


def read_inner(folder: Path) -> tuple[tokenizers.Tokenizer, Mapping[str, Any], dict[str, str]]:
    """The library's tokenizer of a folder, what its file says, and its special tokens' names.

    Raises `FormatError` for a folder without a tokenizer or with a damaged one.
    """
    path = folder / "tokenizer.json"
    source = _text(path) if path.exists() else convert_older(folder)
    description = _object(path, source)
    with Refusals(str(path)):
        inner = tokenizers.Tokenizer.from_str(source)
        inner.no_truncation()
        inner.no_padding()
        config = _read(folder / "tokenizer_config.json")
        names = _add_configured(inner, config, _read(folder / "special_tokens_map.json"))
    return inner, description, names


def _add_configured(
    inner: tokenizers.Tokenizer, config: Mapping[str, Any], special_map: Mapping[str, Any]
) -> dict[str, str]:
    """Adds the tokens that only the configuration names, as `transformers` does; their names."""
    decoder = config.get("added_tokens_decoder")
    if isinstance(decoder, Mapping):
        known = {token.content for token in inner.get_added_tokens_decoder().values()}
        wanted = sorted(decoder.items(), key=lambda item: int(item[0]))
        inner.add_tokens([_added(value) for _, value in wanted if _content(value) not in known])
    names: dict[str, str] = {}
    for name in _SPECIAL_NAMES:
        value = config.get(name) or special_map.get(name)
        if value:
            names[name] = _content(value)
            known = {token.content for token in inner.get_added_tokens_decoder().values()}
            if names[name] not in known:
                inner.add_special_tokens([_added(value, special=True)])
    return names


def _content(value: Any) -> str:
    content = value.get("content") if isinstance(value, Mapping) else value
    if not isinstance(content, str):
        raise FormatError(f"A special token of tokenizer_config.json is {value!r}, not a text.")
    return content


def _added(value: Any, *, special: bool = False) -> tokenizers.AddedToken:
    flags = value if isinstance(value, Mapping) else {}
    return tokenizers.AddedToken(
        _content(value),
        single_word=bool(flags.get("single_word", False)),
        lstrip=bool(flags.get("lstrip", False)),
        rstrip=bool(flags.get("rstrip", False)),
        normalized=bool(flags.get("normalized", not special)),
        special=special or bool(flags.get("special", False)),
    )


def _around(inner: tokenizers.Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that the file puts before and after a text, seen from what it does."""
    plain = inner.encode("a", add_special_tokens=False).ids
    whole = inner.encode("a", add_special_tokens=True).ids
    for start in range(len(whole) - len(plain) + 1):
        if plain and whole[start : start + len(plain)] == plain:
            return tuple(whole[:start]), tuple(whole[start + len(plain) :])
    return (), ()


def _id_of(inner: tokenizers.Tokenizer, names: Mapping[str, str], *wanted: str) -> int | None:
    for name in wanted:
        if name in names:
            found: int | None = inner.token_to_id(names[name])
            return found
    return None


def _end_ids(
    folder: Path, inner: tokenizers.Tokenizer, names: Mapping[str, str], size: int
) -> frozenset[int]:
    """The tokens that end a reply; an id that the vocabulary of `size` lacks can never be drawn."""
    ends: set[int] = set()
    for file in ("generation_config.json", "config.json"):
        path = folder / file
        config = _read(path)
        nested = config.get("text_config")
        value = config.get("eos_token_id")
        if value is None and isinstance(nested, Mapping):
            value = nested.get("eos_token_id")
        listed = value if isinstance(value, list) else [value]
        for each in listed:
            if each is None:
                continue
            if isinstance(each, bool) or not isinstance(each, int) or each < 0:
                raise FormatError(f"{path} has the end token {each!r}; ids count from 0.")
            if each >= size:
                log.warning(
                    "%s has the end token %d, but the tokenizer's ids end at %d; it is left out.",
                    path,
                    each,
                    size - 1,
                )
                continue
            ends.add(each)
    added = inner.get_added_tokens_decoder()
    ends |= known_ends({token.content: index for index, token in added.items() if token.special})
    eos = _id_of(inner, names, "eos_token")
    return frozenset(ends if eos is None else ends | {eos})


def _chat_template(
    folder: Path, config: Mapping[str, Any], names: Mapping[str, str]
) -> ChatTemplate | None:
    named = dict(_named_templates(config.get("chat_template")))
    legacy = _read(folder / "chat_template.json").get("chat_template")
    if isinstance(legacy, str):
        named["default"] = legacy
    for path in sorted(folder.glob("additional_chat_templates/*.jinja")):
        named[path.stem] = _text(path)
    single = folder / "chat_template.jinja"
    if single.exists():
        named["default"] = _text(single)
    if not named:
        return None
    if "default" not in named and len(named) > 1:
        raise FormatError(
            f"{folder} has the chat templates {', '.join(sorted(named))} and none called default; "
            "put the one to use into chat_template.jinja."
        )
    default = named.get("default") or next(iter(named.values()))
    return ChatTemplate(default, named.get("tool_use"), dict(names))


def _named_templates(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield "default", value
    elif isinstance(value, Mapping):
        yield from ((str(name), source) for name, source in value.items())
    elif isinstance(value, list):
        for each in value:
            if not isinstance(each, Mapping) or not isinstance(each.get("template"), str):
                raise FormatError("A chat template of tokenizer_config.json has no template text.")
            yield str(each.get("name", "default")), each["template"]
    elif value is not None:
        raise FormatError(f"chat_template in tokenizer_config.json is {type(value).__name__}.")


def steps_of(part: Any) -> list[Mapping[str, Any]]:
    """The steps of a decoder, normalizer or pre-tokenizer, sequences unrolled."""
    if not isinstance(part, Mapping):
        return []
    inner = part.get("decoders") or part.get("pretokenizers") or part.get("normalizers")
    if part.get("type") == "Sequence" and isinstance(inner, list):
        return [step for each in inner for step in steps_of(each)]
    return [part]


def _notation(path: Path, description: Mapping[str, Any]) -> Notation:
    decoding = {str(step.get("type")) for step in steps_of(description.get("decoder"))}
    cutting = {str(step.get("type")) for step in steps_of(description.get("pre_tokenizer"))}
    if "ByteLevel" in decoding or (not decoding and "ByteLevel" in cutting):
        return "byte-level"
    if decoding & {"ByteFallback", "Metaspace", "Replace"} or (
        not decoding and "Metaspace" in cutting
    ):
        return "sentencepiece"
    if "WordPiece" in decoding or not decoding:
        return "words"
    if decoding <= {"Fuse", "Strip"}:
        return "plain"
    raise FormatError(
        f"{path} decodes by {', '.join(sorted(decoding))}, which Kataribe does not know; it knows "
        "ByteLevel, ByteFallback, Metaspace, Replace, WordPiece and Fuse."
    )


def _piece_bytes(
    inner: tokenizers.Tokenizer,
    notation: Notation,
    description: Mapping[str, Any],
    added: Mapping[int, tokenizers.AddedToken],
) -> Callable[[int], bytes]:
    steps = {str(step.get("type")): step for step in steps_of(description.get("decoder"))}
    space = str(steps.get("Metaspace", {}).get("replacement", "▁"))
    continuing = str(steps.get("WordPiece", {}).get("prefix", "##"))
    byte_fallback = "ByteFallback" in steps
    spaces_stay = byte_fallback and not steps.keys() & {"Metaspace", "Replace"}

    def of(token_id: int) -> bytes:
        piece = inner.id_to_token(token_id)
        if piece is None:
            return b""
        token = added.get(token_id)
        if notation == "plain" or (token and (token.special or notation != "sentencepiece")):
            return piece.encode()
        if notation == "byte-level":
            return byte_level_bytes(piece)
        if notation == "words":
            return word_bytes(piece, continuing)
        if byte_of_piece(piece) is not None and not byte_fallback:
            return piece.encode()
        if spaces_stay and byte_of_piece(piece) is None:
            return piece.encode()
        return sentencepiece_bytes(piece.replace(space, "▁"))

    return of


def _strips(description: Mapping[str, Any]) -> bool:
    steps = steps_of(description.get("decoder"))
    for step in steps:
        if step.get("type") == "Strip" and step.get("content") == " ":
            return int(step.get("start", 0)) > 0
        if step.get("type") == "Metaspace":
            return bool(step.get("prepend_scheme", "always") != "never")
        if step.get("type") == "WordPiece":
            return True
    return not steps and not any(
        step.get("type") == "ByteLevel" for step in steps_of(description.get("pre_tokenizer"))
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not UTF-8: {error}.") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error}.") from error


def _object(path: Path, source: str) -> Mapping[str, Any]:
    try:
        value = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise FormatError(f"{path} holds {type(value).__name__}, not an object.")
    return value


def _read(path: Path) -> Mapping[str, Any]:
    return _object(path, _text(path)) if path.exists() else {}
