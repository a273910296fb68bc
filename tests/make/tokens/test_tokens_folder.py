"""Tokenizers of Hugging Face folders give the ids of `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoTokenizer, GPT2Tokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer

from kataribe.base.errors import FormatError, InputError
from kataribe.make.tokens import load_tokenizer
from kataribe.make.tokens.pretokenizers import pre_tokenizer
from tests.make.tokens import vocabularies
from tests.make.tokens.hard_texts import TEXTS, a_seed, random_texts

SPECIALS = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def _gpt2() -> Tokenizer:
    return Tokenizer.from_str(vocabularies.byte_level().to_str())


def _llama3() -> Tokenizer:
    tokenizer = _gpt2()
    split = pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?\p{L}+|\s+(?!\S)|\s+"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    vocabularies.added(tokenizer, SPECIALS, ["<tool_call>", "\n\n\n"])
    begin = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", begin)]
    )
    return tokenizer


def _nfc_with_flags() -> Tokenizer:
    tokenizer = _gpt2()
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(
        [AddedToken("<mask>", lstrip=True), AddedToken("<r>", rstrip=True)]
    )
    tokenizer.add_tokens([AddedToken("が", normalized=True), AddedToken("the", single_word=True)])
    return tokenizer


def _sentencepiece(scheme: str) -> Tokenizer:
    rows = vocabularies.sentencepiece_pieces()
    ids = {piece: index for index, (piece, _, _) in enumerate(rows)}
    pieces = [piece for piece, _, kind in rows if kind == vocabularies.NORMAL and len(piece) > 1]
    merges = [
        (piece[:at], piece[at:])
        for piece in pieces
        for at in range(1, len(piece))
        if piece[:at] in ids and piece[at:] in ids
    ]
    tokenizer = Tokenizer(
        models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    steps: list[Any] = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if scheme == "legacy":
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    if scheme != "never":
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(steps)
    return vocabularies.added(tokenizer, ["<unk>", "<s>", "</s>"], ["<tool>", "\n\n"])


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=600,
        special_tokens=["<s>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator([vocabularies.WORDS * 3, *TEXTS], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


def _wordpiece() -> Tokenizer:
    ids = {piece: index for index, piece in enumerate(vocabularies.words())}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return vocabularies.added(tokenizer, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])


BUILDERS = {
    "gpt2": (_gpt2, {"eos_token": "<|endoftext|>"}),
    "gpt2 with a new pad token": (_gpt2, {"pad_token": "<new pad>", "add_bos_token": False}),
    "llama3": (_llama3, {"bos_token": "<s>", "eos_token": "</s>"}),
    "flags": (_nfc_with_flags, {"mask_token": "<mask>"}),
    "bos by configuration": (_gpt2, {"bos_token": "<|endoftext|>", "add_bos_token": True}),
    "metaspace first": (lambda: _sentencepiece("first"), {"bos_token": "<s>", "eos_token": "</s>"}),
    "metaspace always": (lambda: _sentencepiece("always"), {"bos_token": "<s>"}),
    "metaspace never": (lambda: _sentencepiece("never"), {"bos_token": "<s>"}),
    "prepend": (lambda: _sentencepiece("legacy"), {"bos_token": "<s>", "add_bos_token": True}),
    "unigram": (_unigram, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}),
    "wordpiece": (_wordpiece, {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}),
}


@pytest.mark.parametrize("name", list(BUILDERS))
def test_ids_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    build, config = BUILDERS[name]
    folder = vocabularies.write_folder(tmp_path / "model", build(), config)
    ours = load_tokenizer(folder)
    theirs = PreTrainedTokenizerFast.from_pretrained(folder)
    seed = a_seed()
    print(f"seed {seed}")
    special = list(theirs.added_tokens_encoder)
    texts = [*TEXTS, *random_texts(seed, 200)]
    texts += [f"a{token} {token}{token}b\n{token} c" for token in special]
    for text in texts:
        assert ours.encode(text) == theirs.encode(text), text
        plain = theirs.encode(text, add_special_tokens=False)
        assert ours.encode(text, add_bos=False) == plain, text
        split = theirs.encode(text, add_special_tokens=False, split_special_tokens=True)
        if name == "unigram" and any(token in text for token in special):
            continue  # theirs lets people write control tokens: see test_unigram_literal
        assert ours.encode(text, add_bos=False, special=False) == split, text
    assert ours.bos_id in (theirs.bos_token_id, theirs.cls_token_id)
    assert ours.pad_id == theirs.pad_token_id
    assert theirs.eos_token_id is None or theirs.eos_token_id in ours.eos_ids


def _digits() -> Tokenizer:
    """SmolLM2's rule: every digit alone."""
    tokenizer = _gpt2()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), tokenizer.pre_tokenizer]
    )
    return tokenizer


def _qwen2() -> Tokenizer:
    tokenizer = _gpt2()
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizer("qwen2").build()
    return tokenizer


def _gemma() -> Tokenizer:
    tokenizer = vocabularies.added(_sentencepiece("never"), ["<pad>", "<mask>"])
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    return tokenizer


# transformers 5 builds the tokenizers of some classes itself, out of tokenizer.json's vocabulary
# alone. Which parts of the file it then leaves out, so that its ids are others than those of the
# file: Kataribe follows the file as published, as the `tokenizers` library does.
PAIR = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
CLASSES = {
    "GPT2Tokenizer": (_gpt2, {"eos_token": "<|endoftext|>"}, ()),
    "GPT2Tokenizer with digits": (_digits, {"eos_token": "<|im_end|>"}, ("pre_tokenizer",)),
    "Qwen2Tokenizer": (_qwen2, {"eos_token": "<|im_end|>"}, ()),
    "LlamaTokenizer": (lambda: _sentencepiece("first"), PAIR, ()),
    "LlamaTokenizer with legacy": (
        lambda: _sentencepiece("legacy"),
        {**PAIR, "add_bos_token": True},
        ("normalizer", "pre_tokenizer"),
    ),
    "GemmaTokenizer": (_gemma, {**PAIR, "pad_token": "<pad>", "add_bos_token": True}, ()),
    "BertTokenizer": (_wordpiece, {"cls_token": "[CLS]", "sep_token": "[SEP]"}, ()),
    "XLMRobertaTokenizer of e5-small": (None, {}, ("normalizer", "pre_tokenizer")),
}


@pytest.mark.parametrize("name", list(CLASSES))
def test_ids_by_the_class_that_a_folder_names(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    build, config, dropped = CLASSES[name]
    kind = name.partition(" ")[0]
    if build is None:
        folder = request.getfixturevalue("e5_path")
    else:
        config = {**config, "tokenizer_class": kind}
        folder = vocabularies.write_folder(tmp_path / "model", build(), config)
    ours = load_tokenizer(folder)
    published = PreTrainedTokenizerFast.from_pretrained(folder)
    theirs = AutoTokenizer.from_pretrained(folder)
    assert type(theirs).__name__ == kind
    texts = [*TEXTS, *random_texts(a_seed(), 100)]
    ids = [ours.encode(text) for text in texts]
    assert ids == [published.encode(text) for text in texts]
    if dropped:
        assert ids != [theirs.encode(text) for text in texts], "the table is out of date"
    for part in dropped:
        setattr(theirs.backend_tokenizer, part, getattr(published.backend_tokenizer, part))
    assert ids == [theirs.encode(text) for text in texts]


@pytest.mark.parametrize("name", [name for name in BUILDERS if name not in ("wordpiece", "flags")])
def test_texts_come_back_as_from_transformers(name: str, tmp_path: Path) -> None:
    build, config = BUILDERS[name]
    folder = vocabularies.write_folder(tmp_path / "model", build(), config)
    ours = load_tokenizer(folder)
    theirs = PreTrainedTokenizerFast.from_pretrained(folder)
    for text in TEXTS:
        ids = ours.encode(text, add_bos=False)
        expected = theirs.decode(ids, clean_up_tokenization_spaces=False)
        assert ours.decode(ids) == expected, text


def test_end_tokens_come_from_every_file_that_names_them(tmp_path: Path) -> None:
    folder = vocabularies.write_folder(tmp_path, _gpt2(), {"eos_token": "<|endoftext|>"})
    (folder / "generation_config.json").write_text('{"eos_token_id": [5, 6]}')
    (folder / "config.json").write_text('{"text_config": {"eos_token_id": 7}}')
    assert load_tokenizer(folder).eos_ids == {0, 2, 5, 6, 7}
    (folder / "generation_config.json").write_text('{"eos_token_id": "x"}')
    with pytest.raises(FormatError, match="end token 'x'"):
        load_tokenizer(folder)


def test_an_end_token_beyond_the_vocabulary_is_left_out_and_said(tmp_path: Path, caplog) -> None:
    folder = vocabularies.write_folder(tmp_path, _gpt2(), {"eos_token": "<|endoftext|>"})
    size = load_tokenizer(folder).vocab_size
    (folder / "generation_config.json").write_text(f'{{"eos_token_id": [5, {size}, 99999]}}')
    with caplog.at_level("WARNING"):
        assert load_tokenizer(folder).eos_ids == {0, 2, 5}
    assert "99999" in caplog.text
    assert f"end at {size - 1}" in caplog.text


def test_truncation_and_padding_in_the_file_do_not_touch_a_text(tmp_path: Path) -> None:
    tokenizer = _gpt2()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=50)
    folder = vocabularies.write_folder(tmp_path, tokenizer, {})
    ours = load_tokenizer(folder)
    assert ours.decode(ours.encode("hello there, world")) == "hello there, world"


@pytest.mark.parametrize("kind", ["GPT2Tokenizer", "Qwen2Tokenizer"])
def test_vocab_and_merges_without_tokenizer_json(tmp_path: Path, kind: str) -> None:
    description = json.loads(_gpt2().to_str())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(description["vocab"]), encoding="utf-8")
    merges = "\n".join(" ".join(merge) for merge in description["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    config: dict[str, Any] = {"tokenizer_class": kind, "eos_token": "<|im_end|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    ours = load_tokenizer(tmp_path)
    theirs = {"GPT2Tokenizer": GPT2Tokenizer, "Qwen2Tokenizer": Qwen2Tokenizer}[kind]
    reference = theirs.from_pretrained(tmp_path)
    for text in [*TEXTS, *random_texts(a_seed(), 100)]:
        ids = ours.encode(text, special=False)
        assert ids == reference.encode(text, split_special_tokens=True), text
        if kind == "GPT2Tokenizer":
            assert ours.decode(ids) == text
    config |= {"bos_token": "<|endoftext|>", "add_bos_token": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert load_tokenizer(tmp_path).encode("a")[0] == 0
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "OtherTokenizer"}')
    with pytest.raises(FormatError, match="OtherTokenizer"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", "{"),
        ("tokenizer.json", "[]"),
        ("tokenizer.json", "{}"),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["x y"]}}'),
        ("tokenizer.json", "[" * 100000),
        ("tokenizer_config.json", "nonsense"),
        ("tokenizer_config.json", '{"eos_token": 5}'),
        ("tokenizer_config.json", '{"chat_template": 5}'),
        ("tokenizer_config.json", '{"chat_template": [{"name": "a"}]}'),
        ("generation_config.json", "[1]"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, file: str, content: str) -> None:
    folder = vocabularies.write_folder(tmp_path, _gpt2(), {})
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(FormatError):
        load_tokenizer(folder)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    folder = vocabularies.write_folder(tmp_path, _gpt2(), {})
    (folder / "tokenizer.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="UTF-8"):
        load_tokenizer(folder)


def test_where_templates_come_from(tmp_path: Path) -> None:
    named = [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]
    folder = vocabularies.write_folder(tmp_path, _gpt2(), {"chat_template": named})
    template = load_tokenizer(folder).chat_template
    assert template is not None
    assert (template.source, template.tool_source) == ("D", "T")
    assert template.supports_tools
    (folder / "chat_template.jinja").write_text("J")
    template = load_tokenizer(folder).chat_template
    assert template is not None
    assert template.source == "J"
    (folder / "chat_template.jinja").unlink()
    config = {"chat_template": [{"name": "a", "template": "A"}, {"name": "b", "template": "B"}]}
    vocabularies.write_folder(tmp_path, _gpt2(), config)
    with pytest.raises(FormatError, match="none called default"):
        load_tokenizer(folder)


def test_a_beginning_that_nobody_named(tmp_path: Path) -> None:
    folder = vocabularies.write_folder(tmp_path, _gpt2(), {})
    with pytest.raises(InputError, match="begins a text"):
        load_tokenizer(folder).encode("a", add_bos=True)
