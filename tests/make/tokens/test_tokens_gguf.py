"""GGUF tokenizers give llama.cpp's ids."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import pytest
import sentencepiece

from kataribe.base.errors import FormatError, InputError, NotFoundError
from kataribe.make.tokens import Tokenizer, load_tokenizer
from kataribe.make.tokens.gguf_metadata import read_tokens
from kataribe.make.tokens.gguf_tokenizer import build_tokenizer
from kataribe.make.tokens.pretokenizers import RULES as NAMED_RULES
from kataribe.make.tokens.sentencepiece_file import read_sentencepiece
from tests.make.tokens import vocabularies
from tests.make.tokens.hard_texts import TEXTS, a_seed, random_texts
from tests.make.tokens.llama_vocabulary import LlamaVocabulary

RULES = [names[0] for names, _ in NAMED_RULES]
OTHER_NAMES = [name for names, _ in NAMED_RULES for name in names[1:]]


def assert_equal_to_llama(path: Path, texts: list[str], *, skip: str | None = None) -> Tokenizer:
    """Every text with and without special tokens, and with what the file puts around a text."""
    ours, theirs = load_tokenizer(path), LlamaVocabulary(path)
    for text in texts:
        if skip is not None and skip in text:
            continue
        for special in (True, False):
            found = ours.encode(text, special=special, add_bos=False)
            assert found == theirs.encode(text, special=special), (path.name, special, text)
        assert ours.encode(text) == theirs.encode(text, add=True), (path.name, text)
    return ours


def seeded(count: int) -> list[str]:
    seed = a_seed()
    print(f"seed {seed}")
    return [*TEXTS, *random_texts(seed, count)]


def with_specials(tokenizer_texts: list[str]) -> list[str]:
    return [f"a{text} {text}{text}b\n{text}" for text in tokenizer_texts]


@pytest.mark.parametrize("pre", [*RULES, None])
def test_every_rule_cuts_words_as_llama_cpp_does(tmp_path: Path, pre: str | None) -> None:
    path = vocabularies.write_byte_level(tmp_path / "bpe.gguf", pre)
    assert_equal_to_llama(path, [*seeded(40), *with_specials(list(vocabularies.SPECIAL))])


def test_every_name_of_a_rule_is_llama_cpps(tmp_path: Path) -> None:
    text = " ".join((*TEXTS[:12], "12345 it's IT'S  \n\n \t naïve日本語 x=1;"))
    for name in OTHER_NAMES:
        path = vocabularies.write_byte_level(tmp_path / f"{name}.gguf", name)
        assert load_tokenizer(path).encode(text) == LlamaVocabulary(path).encode(text, add=True)


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece_merges_as_llama_cpp_does(tmp_path: Path, prefix: bool) -> None:
    path = vocabularies.write_sentencepiece(tmp_path / "spm.gguf", add_space_prefix=prefix)
    assert_equal_to_llama(path, [*seeded(300), *with_specials(["<s>", "</s>", "<tool>", "<unk>"])])


def test_phi_3_swallows_spaces_after_its_tokens(tmp_path: Path) -> None:
    control = ("<|endoftext|>", "<|user|>")
    path = vocabularies.write_sentencepiece(tmp_path / "spm.gguf", *control, name="Phi-3 mini")
    texts = [
        "<|user|>\n  hi <|endoftext|>  x",
        "a</s>  b",
        "<tool> \t x",
        "<s>  y",
        "</s> </s>\t</s>",
        *(text for text in TEXTS if "\n\n" not in text),  # Phi-3 has no tokens of spaces
    ]
    ours = assert_equal_to_llama(path, texts)
    assert ours.encode("</s>   a") == ours.encode("</s>a")


def test_characters_that_only_pieces_hold_still_merge(tmp_path: Path) -> None:
    """ "日本" is a piece while "日" is none: llama.cpp joins them all the same."""
    rows = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    rows += [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    rows += [("日本", -1.0, 1), ("a", -2.0, 1), ("▁", -3.0, 1)]
    path = vocabularies.write_gguf(
        tmp_path / "spm.gguf",
        "llama",
        "llama",
        tokens=[row[0] for row in rows],
        scores=[row[1] for row in rows],
        token_type=[row[2] for row in rows],
    )
    ours = assert_equal_to_llama(path, ["日本", "日a本", "本日", "a日本a", "日"])
    assert ours.encode("日本", add_bos=False) == [261, 259]


@pytest.mark.parametrize("lowercase", [True, False])
def test_wordpiece_cuts_as_llama_cpp_does(tmp_path: Path, lowercase: bool) -> None:
    path = vocabularies.write_words(tmp_path / "w.gguf", **{"normalizer.lowercase": lowercase})
    texts = [*seeded(300), *with_specials(["[SEP]", "[MASK]"]), "x" * 700, "the" * 300 + "猫"]
    tokenizer = assert_equal_to_llama(path, texts)
    assert tokenizer.encode("the fox")[0] == 2
    assert tokenizer.encode("the fox")[-1] == 3


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize(
    "planes",
    [
        [0x0C, 0x0E, 0x10E, 0x112, 0x11B, 0x11F, 0x134, 0x1E0, 0x1E4],
        pytest.param(range(0x01, 0x1100), marks=pytest.mark.slow),
    ],
)
def test_wordpiece_knows_every_character_as_llama_cpp_does(
    tmp_path: Path, lowercase: bool, planes: Sequence[int]
) -> None:
    path = vocabularies.write_words(tmp_path / "w.gguf", **{"normalizer.lowercase": lowercase})
    codes = [code for plane in planes for code in range(plane * 0x100, plane * 0x100 + 0x100)]
    texts = [f"t{chr(code)}t{chr(code)}" for code in codes if not 0xD800 <= code <= 0xDFFF]
    assert_equal_to_llama(path, texts)


def _trained(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    lines = [
        line
        for text in [vocabularies.WORDS] * 20 + list(TEXTS)
        for line in text.split("\n")
        if line.strip() and "\0" not in line and "▁" not in line
    ]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        model_type=kind,
        vocab_size=800,
        minloglevel=2,
        character_coverage=0.98,
        hard_vocab_limit=False,
        num_threads=1,
        **options,
    )
    return out.getvalue()


@pytest.mark.parametrize("squeeze", [True, False])
def test_unigram_chooses_as_llama_cpp_does(tmp_path: Path, squeeze: bool) -> None:
    source = tmp_path / "tokenizer.model"
    source.write_bytes(_trained("unigram", remove_extra_whitespaces=squeeze))
    model = read_sentencepiece(source)
    writer = gguf.GGUFWriter(tmp_path / "t5.gguf", "t5")
    writer.add_tokenizer_model("t5")
    writer.add_token_list([piece for piece, _, _ in model.pieces])
    writer.add_token_scores([score for _, score, _ in model.pieces])
    writer.add_token_types([kind for _, _, kind in model.pieces])
    writer.add_precompiled_charsmap(model.charsmap)
    writer.add_remove_extra_whitespaces(squeeze)
    writer.add_add_space_prefix(value=True)
    writer.add_unk_token_id(0)
    writer.add_eos_token_id(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert_equal_to_llama(tmp_path / "t5.gguf", seeded(300))


@pytest.mark.parametrize("prefix", [True, False])
def test_a_sentencepiece_file_gives_sentencepieces_ids(tmp_path: Path, prefix: bool) -> None:
    data = _trained(
        "bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=prefix,
    )
    (tmp_path / "tokenizer.model").write_bytes(data)
    ours = load_tokenizer(tmp_path)
    theirs = sentencepiece.SentencePieceProcessor(model_proto=data)
    for text in seeded(300):
        assert ours.encode(text, special=False, add_bos=False) == theirs.encode(text), text
    assert ours.bos_id == theirs.bos_id()
    assert ours.eos_ids == {theirs.eos_id()}


def test_the_default_model_gives_llama_cpps_ids_and_pieces(smollm2_path: Path) -> None:
    specials = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<jupyter_code>"]
    ours = assert_equal_to_llama(smollm2_path, [*seeded(500), *with_specials(specials)])
    theirs = LlamaVocabulary(smollm2_path)
    for token_id in range(ours.vocab_size):
        assert ours.token_bytes(token_id) == theirs.piece(token_id)
    assert (ours.bos_id, ours.eos_ids, ours.pad_id) == (1, {0, 2}, 2)
    assert ours.is_special(2)
    assert not ours.is_special(500)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen_path", "gemma_path"])
def test_the_big_models_give_llama_cpps_ids_and_pieces(
    name: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(name)
    specials = ["<|im_start|>", "<|im_end|>", "<tool_call>", "<bos>", "<start_of_turn>", "<table>"]
    texts = [*seeded(3000), *with_specials(specials)]
    # llama.cpp makes "</s>" an end token in every vocabulary that has it; in these two it is HTML.
    ours = assert_equal_to_llama(path, texts, skip="</s>")
    theirs = LlamaVocabulary(path)
    for token_id in range(ours.vocab_size):
        assert ours.token_bytes(token_id) == theirs.piece(token_id)
    for text in texts:
        if "▁" not in text:  # SentencePiece writes its own mark for a space
            ids = ours.encode(text, special=False, add_bos=False)
            assert b"".join(map(ours.token_bytes, ids)) == text.encode()


def test_what_people_write_never_becomes_a_control_token(tmp_path: Path) -> None:
    """Even where merging could reach one: "<s" and ">" are pieces here."""
    rows = [("<unk>", 0.0, 2), ("<s>", 9.0, 3), ("</s>", 0.0, 3), ("<", -1.0, 1), ("s", -2.0, 1)]
    rows += [("<s", -0.5, 1), (">", -3.0, 1), ("▁", -4.0, 1)]
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [row[0] for row in rows],
        "tokenizer.ggml.scores": np.array([row[1] for row in rows]),
        "tokenizer.ggml.token_type": np.array([row[2] for row in rows]),
    }
    tokenizer = build_tokenizer(read_tokens("x", metadata), chat_adds_bos=True)
    assert tokenizer.encode("<s>", special=False, add_bos=False) == [7, 5, 6]
    assert tokenizer.encode("<s>", special=True, add_bos=False) == [1]


def test_an_unknown_rule_is_refused_by_name(tmp_path: Path) -> None:
    path = vocabularies.write_byte_level(tmp_path / "bpe.gguf", "from-the-future")
    with pytest.raises(FormatError, match="'from-the-future'"):
        load_tokenizer(path)


def _metadata(**changes: object) -> dict[str, object]:
    description = json.loads(vocabularies.byte_level().to_str())["model"]
    pieces = sorted(description["vocab"], key=description["vocab"].__getitem__)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.merges": [" ".join(merge) for merge in description["merges"]],
    } | {f"tokenizer.ggml.{name}": value for name, value in changes.items()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "rwkv"}, "'rwkv'"),
        ({"model": None}, "None"),
        ({"tokens": []}, "empty vocabulary"),
        ({"tokens": ["a", "b", "a"]}, "'a' twice"),
        ({"tokens": [1, 2]}, "list of texts"),
        ({"tokens": "abc"}, "list of texts"),
        ({"merges": None}, "merges"),
        ({"merges": ["a zzzz"]}, "'a zzzz'"),
        ({"merges": ["ab"]}, "'ab'"),
        ({"token_type": np.array([1, 1])}, "2 numbers"),
        ({"token_type": np.array([[1]])}, "1 numbers"),
        ({"add_bos_token": "yes"}, "not yes or no"),
        ({"add_bos_token": True}, "BOS"),
        ({"pre": 5}, "not a text"),
    ],
)
def test_metadata_that_contradict_each_other(changes: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        build_tokenizer(read_tokens("bad.gguf", _metadata(**changes)), chat_adds_bos=True)


def test_special_ids_beyond_the_vocabulary_count_as_absent() -> None:
    metadata = _metadata(bos_token_id=10**6, padding_token_id=2**32 - 1, eos_token_id=2)
    tokenizer = build_tokenizer(read_tokens("x.gguf", metadata), chat_adds_bos=True)
    assert (tokenizer.bos_id, tokenizer.pad_id) == (None, None)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="mappings are read from /proc")
def test_a_tokenizer_does_not_keep_the_file_that_it_was_read_from(smollm2_path: Path) -> None:
    def mapped() -> int:
        gc.collect()
        return Path("/proc/self/maps").read_text().count(smollm2_path.name)

    before = mapped()  # other tests may have left some
    tokenizer = load_tokenizer(smollm2_path)
    assert tokenizer.decode(tokenizer.encode("the sea")) == "the sea"
    assert mapped() <= before


def test_lone_surrogates_are_refused(smollm2_path: Path) -> None:
    tokenizer = load_tokenizer(smollm2_path)
    for text in ("a\ud800", "\udfff"):
        with pytest.raises(InputError, match="lone surrogate"):
            tokenizer.encode(text)
        with pytest.raises(InputError, match="lone surrogate"):
            tokenizer.encode_prompt(text)


def test_a_path_that_is_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        load_tokenizer(tmp_path / "nothing.gguf")
    (tmp_path / "x.bin").write_bytes(b"x")
    with pytest.raises(FormatError, match="neither"):
        load_tokenizer(tmp_path / "x.bin")
    with pytest.raises(FormatError, match="has no tokenizer"):
        load_tokenizer(tmp_path)


def test_a_prompt_gets_one_beginning(tmp_path: Path) -> None:
    path = vocabularies.write_byte_level(tmp_path / "bpe.gguf", "llama-bpe")
    tokenizer = load_tokenizer(path)
    assert tokenizer.add_bos
    plain = tokenizer.encode("hello", add_bos=False)
    assert tokenizer.encode("hello") == [0, *plain]
    assert tokenizer.encode_prompt("hello") == [0, *plain]
    assert tokenizer.encode_prompt("<|endoftext|>hello") == [0, *plain]
    assert tokenizer.encode_prompt("<|endoftext|>hello", special=False)[0] == 0


@pytest.mark.parametrize("cut", [3, 4, 40])
def test_a_damaged_sentencepiece_file_is_refused(tmp_path: Path, cut: int) -> None:
    data = _trained("bpe", byte_fallback=True)
    path = tmp_path / "tokenizer.model"
    path.write_bytes(data[: len(data) // 2 + cut])
    with pytest.raises(FormatError):
        load_tokenizer(tmp_path)
    path.write_bytes(b"\xff" * cut)
    with pytest.raises(FormatError):
        load_tokenizer(tmp_path)


def test_a_damaged_normalisation_is_refused() -> None:
    metadata = {
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.tokens": ["<pad>", "</s>", "<unk>", "a"],
        "tokenizer.ggml.scores": np.array([0.0, 0.0, 0.0, -1.0]),
        "tokenizer.ggml.token_type": np.array([3, 3, 2, 1]),
    }
    for charsmap in (b"\x01", b"\xff\xff\xff\x7f" + bytes(20), b"\x03\0\0\0" + bytes(9)):
        bad = metadata | {"tokenizer.ggml.precompiled_charsmap": np.frombuffer(charsmap, np.uint8)}
        with pytest.raises(FormatError):
            build_tokenizer(read_tokens("t5.gguf", bad), chat_adds_bos=True)


def test_pieces_are_written_as_in_the_vocabulary(smollm2_path):
    tokenizer = load_tokenizer(smollm2_path)
    assert tokenizer.pieces(tokenizer.encode("Hello world")) == ["Hello", "Ġworld"]
    assert tokenizer.pieces([tokenizer.bos_id]) == ["<|im_start|>"]
    assert tokenizer.pieces([tokenizer.vocab_size]) == [""]
