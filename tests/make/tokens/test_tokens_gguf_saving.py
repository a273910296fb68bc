"""Tokenizers written as GGUF metadata: llama.cpp gives the folder's ids, or they are refused."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pico_model import build as build_pico
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import UnigramTrainer

from kataribe.base.errors import FormatError, KataribeError, UnsupportedError
from kataribe.files.gguf_writer import write_gguf
from kataribe.make.tokens import load_tokenizer
from kataribe.make.tokens.folder_saving import folder_files
from kataribe.make.tokens.gguf_metadata import read_tokens
from kataribe.make.tokens.gguf_saving import gguf_vocabulary
from kataribe.make.tokens.gguf_tokenizer import score_merges
from kataribe.make.tokens.pretokenizer_names import pre_tokenizer_name
from kataribe.make.tokens.pretokenizers import RULES as NAMED_RULES
from kataribe.make.tokens.same_ids import (
    check_same_chat,
    check_same_ids,
    check_same_pieces,
    probing_texts,
)
from tests.make.llama_logits import LlamaModel
from tests.make.tokens import vocabularies
from tests.make.tokens.hard_texts import TEXTS, a_seed, random_texts
from tests.make.tokens.llama_vocabulary import LlamaVocabulary
from tests.make.tokens.test_tokens_gguf import _trained

NAMES = {"bos_token": "<|im_start|>", "eos_token": "<|endoftext|>", "pad_token": "<|im_end|>"}
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def written(folder: Path, rows: int = 1000) -> Path:
    path = folder.parent / f"{folder.name}.gguf"
    vocabulary = gguf_vocabulary(folder, rows)
    write_gguf(path, {"general.architecture": "llama", **vocabulary.metadata}, {})
    return path


def assert_same(folder: Path, path: Path, *, composed: bool = False) -> None:
    """Our reader, by the check that exports make, and llama.cpp, on texts that it has not seen."""
    seed = a_seed()
    print(f"seed {seed}")
    before, llama = load_tokenizer(folder), LlamaVocabulary(path)
    texts = list(probing_texts(before, composed=composed))
    after = load_tokenizer(path)
    assert check_same_ids(before, after, texts, what="It") > 5000
    assert check_same_pieces(before, after, what="It", composed=composed) == before.vocab_size
    for text in [*texts, *TEXTS, *random_texts(seed, 60)]:
        given = unicodedata.normalize("NFC", text) if composed else text
        if "\0" not in given:
            assert llama.encode(given, add=True) == before.encode(given), given


def test_a_byte_level_tokenizer_keeps_its_ids_ends_and_template(tmp_path: Path) -> None:
    folder = build_pico(tmp_path / "pico")
    path = written(folder, rows=330)
    assert_same(folder, path)
    before, after = load_tokenizer(folder), load_tokenizer(path)
    assert (after.bos_id, after.eos_ids, after.vocab_size) == (1, {0}, 330)
    assert after.chat_template.source == before.chat_template.source
    assert not check_same_chat(before, after, what="It")
    metadata = gguf_vocabulary(folder, 330).metadata
    assert metadata["tokenizer.ggml.pre"] == "gpt-2"
    assert metadata["tokenizer.ggml.token_type"].tolist()[-8:] == [5] * 8  # no token, only rows


@pytest.mark.parametrize(
    ("cutter", "ignore_merges", "name"),
    [
        (pre_tokenizers.ByteLevel(add_prefix_space=False), False, "gpt-2"),
        (
            pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Digits(individual_digits=True),
                    pre_tokenizers.ByteLevel(add_prefix_space=False),
                ]
            ),
            False,
            "smollm",
        ),
        (
            pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
                ]
            ),
            True,
            "llama-bpe",
        ),
        (
            pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(LLAMA3), "removed", invert=True),
                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
                ]
            ),
            False,
            "dbrx",
        ),
    ],
)
def test_rules_as_published_files_write_them(
    tmp_path: Path, cutter: Any, ignore_merges: bool, name: str
) -> None:
    tokenizer = Tokenizer.from_str(vocabularies.byte_level().to_str())
    tokenizer.pre_tokenizer = cutter
    tokenizer.model.ignore_merges = ignore_merges
    folder = vocabularies.write_folder(tmp_path / "f", tokenizer, NAMES)
    assert gguf_vocabulary(folder, 1000).metadata["tokenizer.ggml.pre"] == name
    assert_same(folder, written(folder))


def test_every_rule_that_is_read_is_known_on_the_way_out() -> None:
    for names, rule in NAMED_RULES:
        description = json.loads(rule.build().__getstate__())
        found = pre_tokenizer_name(description, ignore_merges=rule.ignore_merges)
        assert found == names[0]


def test_bos_before_texts_and_tokens_that_people_add(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_str(vocabularies.byte_level().to_str())
    vocabularies.added(tokenizer, ["<|x|>"], ["<tool>", "  "])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    folder = vocabularies.write_folder(tmp_path / "f", tokenizer, NAMES)
    path = written(folder)
    assert_same(folder, path)
    assert load_tokenizer(path).encode("a")[0] == 1
    template = folder / "chat_template.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    assert check_same_chat(load_tokenizer(folder), load_tokenizer(written(folder)), what="It")


def test_composing_is_told_and_composed_texts_are_the_same(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_str(vocabularies.byte_level().to_str())
    tokenizer.normalizer = normalizers.NFC()
    folder = vocabularies.write_folder(tmp_path / "f", tokenizer, NAMES)
    assert gguf_vocabulary(folder, 1000).composes
    path = written(folder)
    assert_same(folder, path, composed=True)
    with pytest.raises(FormatError, match="other ids"):
        check_same_ids(
            load_tokenizer(folder), load_tokenizer(path), ["e\u0301 ga\u3099"], what="It"
        )


def test_sentencepiece_keeps_its_ids(tmp_path: Path) -> None:
    rows = list(vocabularies.sentencepiece_pieces())
    have = {piece for piece, _, _ in rows}
    letters = {letter for piece, _, kind in rows if kind == 1 for letter in piece}
    rows += [(letter, -5000.0 - at, 1) for at, letter in enumerate(sorted(letters - have))]
    tokens = read_tokens(
        "x",
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": [piece for piece, _, _ in rows],
            "tokenizer.ggml.scores": np.array([score for _, score, _ in rows]),
            "tokenizer.ggml.token_type": np.array([kind for _, _, kind in rows]),
        },
    )
    model = models.BPE(
        vocab={piece: index for index, (piece, _, _) in enumerate(rows)},
        merges=score_merges(tokens),
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    vocabularies.added(tokenizer, ["<unk>", "<s>", "</s>"], ["<tool>", "\n\n"])
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    folder = vocabularies.write_folder(tmp_path / "f", tokenizer, names)
    path = written(folder, rows=2000)
    assert_same(folder, path)
    for name, text in folder_files(path).items():  # and the way back
        (tmp_path / "back").mkdir(exist_ok=True)
        (tmp_path / "back" / name).write_text(text, encoding="utf-8")
    assert_same(tmp_path / "back", path)


def test_unigram_keeps_its_ids_but_for_unigram(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    trainer = UnigramTrainer(
        vocab_size=700, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([vocabularies.WORDS * 3, *TEXTS], trainer)
    names = {"eos_token": "</s>", "unk_token": "<unk>"}
    folder = vocabularies.write_folder(tmp_path / "f", tokenizer, names)
    vocabulary = gguf_vocabulary(folder, 1000)
    assert vocabulary.is_unigram
    before, path = load_tokenizer(folder), written(folder)
    texts = list(probing_texts(before))
    check_same_ids(before, load_tokenizer(path), texts, what="It", unigram=True)
    check_same_pieces(before, load_tokenizer(path), what="It", unigram=True)
    llama = LlamaVocabulary(path)
    for text in texts:
        if "\0" not in text:
            assert sorted(llama.encode(text, add=True)) == sorted(before.encode(text)), text


def changed(change: Any) -> Tokenizer:
    tokenizer = Tokenizer.from_str(vocabularies.byte_level().to_str())
    change(tokenizer)
    return tokenizer


def set_cutter(cutter: Any) -> Any:
    return lambda tokenizer: setattr(tokenizer, "pre_tokenizer", cutter)


def lower(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Lowercase()


def bos_twice(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> <|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )


def add_stripping(tokenizer: Tokenizer) -> None:
    from tokenizers import AddedToken

    tokenizer.add_special_tokens([AddedToken("<|s|>", rstrip=True, normalized=False)])


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
UNSAID = {
    "a rule of its own": (
        set_cutter(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex("x+"), "isolated"), BYTES])),
        "none of llama.cpp's rules",
    ),
    "another behaviour": (
        set_cutter(pre_tokenizers.Sequence([pre_tokenizers.Split(" ", "merged_with_next"), BYTES])),
        "MergedWithNext",
    ),
    "punctuation": (
        set_cutter(pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), BYTES])),
        "Punctuation",
    ),
    "a space in front": (set_cutter(pre_tokenizers.ByteLevel()), "add_prefix_space"),
    "merges ignored": (
        lambda tokenizer: setattr(tokenizer.model, "ignore_merges", True),
        "ignore_merges",
    ),
    "lower case": (lower, "Lowercase"),
    "two tokens in front": (bos_twice, r"\[1, 1\]"),
    "white space swallowed": (add_stripping, "rstrip"),
}


@pytest.mark.parametrize("name", UNSAID)
def test_what_gguf_cannot_say_is_refused(tmp_path: Path, name: str) -> None:
    change, word = UNSAID[name]
    folder = vocabularies.write_folder(tmp_path / "f", changed(change), NAMES)
    with pytest.raises(UnsupportedError, match=word):
        gguf_vocabulary(folder, 1000)


def test_wordpiece_is_refused_because_llama_cpps_differs(tmp_path: Path) -> None:
    pieces = {piece: index for index, piece in enumerate(vocabularies.words())}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    folder = vocabularies.write_folder(tmp_path / "f", tokenizer, {"unk_token": "[UNK]"})
    with pytest.raises(UnsupportedError, match="WordPiece"):
        gguf_vocabulary(folder, 1000)


def test_a_tokenizer_needs_an_end_and_no_more_rows_than_the_model_has(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder = vocabularies.write_folder(tmp_path / "f", tokenizer, {})
    with pytest.raises(UnsupportedError, match="eos_token"):
        gguf_vocabulary(folder, 10)
    with pytest.raises(FormatError, match=r"2 tokens.*1 rows"):
        gguf_vocabulary(folder, 1)


def test_a_gguf_tokenizer_is_copied_whole_and_written_as_a_folder(
    smollm2_path: Path, tmp_path: Path
) -> None:
    metadata = gguf_vocabulary(smollm2_path, 49152).metadata
    assert metadata["tokenizer.ggml.pre"] == "smollm"
    for name, text in folder_files(smollm2_path).items():
        (tmp_path / "f").mkdir(exist_ok=True)
        (tmp_path / "f" / name).write_text(text, encoding="utf-8")
    before, after = load_tokenizer(smollm2_path), load_tokenizer(tmp_path / "f")
    assert check_same_ids(before, after, list(probing_texts(before)), what="It") > 5000
    assert not check_same_chat(before, after, what="It")
    assert before.eos_ids == after.eos_ids
    back = dict(gguf_vocabulary(tmp_path / "f", 49152).metadata)
    for key in ("model", "pre", "tokens", "merges", "eos_token_id"):
        assert back[f"tokenizer.ggml.{key}"] == metadata[f"tokenizer.ggml.{key}"], key


def test_kinds_that_no_tokenizer_json_describes_are_refused(tmp_path: Path) -> None:
    path = vocabularies.write_words(tmp_path / "w.gguf")
    with pytest.raises(UnsupportedError, match="bert"):
        folder_files(path)


def test_a_difference_is_named_with_its_place(tmp_path: Path) -> None:
    one = load_tokenizer(build_pico(tmp_path / "one"))
    other = vocabularies.write_folder(tmp_path / "two", vocabularies.byte_level(), NAMES)
    with pytest.raises(KataribeError, match=r"other ids for .* from place \d+"):
        check_same_ids(one, load_tokenizer(other), ["The teller of tales"], what="It")


def test_llama_cpp_opens_the_template(tmp_path: Path) -> None:
    """Through a whole model, since llama.cpp asks models for their templates."""
    from kataribe.make.model.weights.checkpoint import open_checkpoint
    from kataribe.make.model.weights.gguf_saving import gguf_content

    folder = build_pico(tmp_path / "pico")
    checkpoint = open_checkpoint(folder)
    content = gguf_content(checkpoint, "F32")
    vocabulary = gguf_vocabulary(folder, checkpoint.config.vocab_size)
    path = tmp_path / "m.gguf"
    write_gguf(path, {**content.metadata, **vocabulary.metadata}, content.tensors)
    llama = LlamaModel(path)
    assert llama.chat_template == load_tokenizer(folder).chat_template.source
    assert llama.ends(0)
    assert not llama.ends(11)
    llama.close()


def test_the_older_sentencepiece_file_goes_out_too(tmp_path: Path) -> None:
    data = _trained(
        "bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
    )
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(data)
    (folder / "tokenizer_config.json").write_text('{"bos_token": "<s>", "eos_token": "</s>"}')
    path = written(folder)
    assert load_tokenizer(path).eos_ids == load_tokenizer(folder).eos_ids == {2}
    assert_same(folder, path)
