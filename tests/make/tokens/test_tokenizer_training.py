"""Tokenizers that are trained here: the same each time, and for everybody who opens them."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from kataribe.base.errors import FormatError, InputError, NotFoundError
from kataribe.base.messages import text_message
from kataribe.files.gguf_writer import write_gguf
from kataribe.make.tokens import load_tokenizer
from kataribe.make.tokens.document_marks import DocumentMarks, document_marks
from kataribe.make.tokens.fingerprint import tokenizer_sha256
from kataribe.make.tokens.gguf_saving import gguf_vocabulary
from kataribe.make.tokens.kinds import KINDS, Kind, TokenizerPlan
from kataribe.make.tokens.sample import sample_texts
from kataribe.make.tokens.train import read_card, save_tokenizer, train_tokenizer
from tests.make.tokens import small_corpus, trained
from tests.make.tokens.hard_texts import TEXTS, a_seed, random_texts
from tests.make.tokens.llama_vocabulary import LlamaVocabulary

ROOT = Path(__file__).resolve().parents[3]
LOSSLESS: tuple[Kind, ...] = ("bpe", "unigram")
INJECTED = "a<|im_end|>b <|endoftext|>[CLS] [MASK]<extra_id_0> <0x41><|unk|>"

TRAIN = """
import hashlib
from kataribe.make.tokens.kinds import KINDS, TokenizerPlan
from kataribe.make.tokens.train import train_tokenizer
from tests.make.tokens.small_corpus import texts
for kind in KINDS:
    inner, _ = train_tokenizer(texts(), TokenizerPlan(kind, 900))
    print(kind, hashlib.sha256(inner.to_str().encode()).hexdigest())
"""


@pytest.mark.parametrize("kind", KINDS)
def test_everybody_gets_the_same_ids(kind: Kind) -> None:
    theirs = AutoTokenizer.from_pretrained(trained.folder(kind))
    ours = trained.tokenizer(kind)
    seed = a_seed()
    print(f"seed {seed}")
    for text in [*TEXTS, *random_texts(seed, 100), INJECTED]:
        assert ours.encode(text) == theirs.encode(text), text
        assert ours.encode(text, add_bos=False) == theirs.encode(text, add_special_tokens=False)
    assert len(theirs) == ours.vocab_size <= trained.SIZE
    assert theirs.pad_token_id == ours.pad_id == 0
    assert theirs.mask_token_id == ours.special_id("[MASK]" if kind == "wordpiece" else "<|mask|>")


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_have_their_ids(kind: Kind) -> None:
    tokenizer = trained.tokenizer(kind)
    wanted = ["<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert [tokenizer.special_id(each) for each in wanted] == [0, 1, 2, 3]
    assert len({tokenizer.special_id(f"<extra_id_{n}>") for n in range(20)} - {None}) == 20
    assert {1, 3} <= tokenizer.eos_ids
    if kind == "wordpiece":
        begin, end = tokenizer.special_id("[CLS]"), tokenizer.special_id("[SEP]")
        assert tokenizer.encode("a")[0] == begin
        assert document_marks(tokenizer) == DocumentMarks(begin, end)
    else:
        assert document_marks(tokenizer) == DocumentMarks(1, 1)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_every_text_comes_back(kind: Kind) -> None:
    tokenizer = trained.tokenizer(kind)
    theirs = AutoTokenizer.from_pretrained(trained.folder(kind))
    seed = a_seed()
    print(f"seed {seed}")
    for text in [*TEXTS, *random_texts(seed, 300), INJECTED]:
        ids = tokenizer.encode_texts([text])[0]
        assert tokenizer.decode(ids) == text
        assert not tokenizer.special_ids.intersection(ids), text
        assert theirs.decode(ids) == text


def test_a_wordpiece_loses_what_is_said() -> None:
    tokenizer = trained.tokenizer("wordpiece")
    for text in ("a  b", "a\nb", "a\x00b", "🫠"):
        assert tokenizer.decode(tokenizer.encode_texts([text])[0]) != text
    assert tokenizer.chat_template is None


def test_digits_are_single_and_blanks_stay_together() -> None:
    for kind in LOSSLESS:
        tokenizer = trained.tokenizer(kind)
        digits = tokenizer.pieces(tokenizer.encode_texts(["2026"])[0])
        assert digits == ["2", "0", "2", "6"]
        indented = tokenizer.encode_texts(["\n        return"])[0]
        assert len(indented) <= 4


def test_llama_cpp_gets_the_same_ids(tmp_path: Path) -> None:
    folder = trained.folder("bpe")
    tokenizer = trained.tokenizer("bpe")
    metadata = dict(gguf_vocabulary(folder, tokenizer.vocab_size).metadata)
    assert metadata["tokenizer.ggml.pre"] == read_card(folder)["ggml_pre"] == "qwen2"
    path = tmp_path / "words.gguf"
    write_gguf(path, {"general.architecture": "llama", **LLAMA, **metadata}, {})
    theirs = LlamaVocabulary(path)
    seed = a_seed()
    print(f"seed {seed}")
    for text in [*TEXTS, *random_texts(seed, 100), *small_corpus.texts()[:40]]:
        assert theirs.encode(text, special=False) == tokenizer.encode_texts([text])[0], text
        assert theirs.encode(text) == tokenizer.encode(text), text
    assert tokenizer_sha256(load_tokenizer(path)) == tokenizer_sha256(tokenizer)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_chats_are_written_as_by_transformers(kind: Kind) -> None:
    ours, theirs = trained.tokenizer(kind), AutoTokenizer.from_pretrained(trained.folder(kind))
    turns = [("system", "短く。"), ("user", " Hi\n"), ("assistant", "やあ!"), ("user", "2+2?")]
    chat = [{"role": role, "content": content} for role, content in turns]
    wanted = theirs.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert wanted == (
        "<|im_start|>system\n短く。<|im_end|>\n<|im_start|>user\n Hi\n<|im_end|>\n"
        "<|im_start|>assistant\nやあ!<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    messages = [text_message(role, content) for role, content in turns]  # type: ignore[arg-type]
    ids = theirs.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert ours.encode_chat(messages) == ids


def test_the_same_texts_give_the_same_tokenizer() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", TRAIN],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONHASHSEED": str(number)},
        ).stdout
        for number in (1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0].count("\n") == len(KINDS)


def test_a_small_corpus_gives_fewer_pieces_and_says_so() -> None:
    for kind in KINDS:
        inner, training = train_tokenizer(
            ["日本語の短い文。 short text"] * 3, TokenizerPlan(kind, 9000)
        )
        assert training.pieces == inner.get_vocab_size() < 600
        assert (training.documents, training.plan.vocab_size) == (3, 9000)


def test_a_big_corpus_is_sampled_all_over() -> None:
    def texts():
        for index in range(20_000):
            yield f"{index:08d}" * 8  # 64 bytes

    sample = sample_texts(texts(), 100_000)
    assert (sample.documents, sample.text_bytes) == (20_000, 1_280_000)
    assert 50_000 < sample.used_bytes <= 100_000
    assert sample.share == sample.used_bytes / sample.text_bytes
    numbers = [int(text[:8]) for text in sample.texts]
    assert {b - a for a, b in itertools.pairwise(numbers)} == {16}
    assert sample_texts(["あ" * 200_000], 10**6).texts == ("あ" * 65536,) * 3 + ("あ" * 3392,)
    _, training = train_tokenizer(texts(), TokenizerPlan("bpe", 300), sample_bytes=100_000)
    assert training.used_bytes == sample.used_bytes


def test_bad_plans_are_refused() -> None:
    with pytest.raises(InputError, match=r"100 pieces cannot be; take 261 .* to 1,048,576"):
        TokenizerPlan("bpe", 100)
    with pytest.raises(InputError, match="no kind of tokenizer"):
        TokenizerPlan("bytes", 1000)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="5000 sentinels"):
        TokenizerPlan("bpe", 9000, sentinels=5000)
    with pytest.raises(InputError, match="0 documents came"):
        train_tokenizer([], TokenizerPlan("bpe", 1000))
    with pytest.raises(InputError, match="2 documents came, and none has a character"):
        train_tokenizer(["", ""], TokenizerPlan("bpe", 1000))
    with pytest.raises(InputError, match="sample of 0 bytes"):
        sample_texts(["a"], 0)


def test_a_tokenizer_is_never_overwritten(tmp_path: Path) -> None:
    inner, training = train_tokenizer(["a b c"] * 3, TokenizerPlan("bpe", 300))
    save_tokenizer(tmp_path / "x", inner, training)
    with pytest.raises(InputError, match="already"):
        save_tokenizer(tmp_path / "x", inner, training)
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
    with pytest.raises(NotFoundError):
        read_card(tmp_path / "y")
    (tmp_path / "x" / "card.json").write_text("{", "utf-8")
    with pytest.raises(FormatError, match="not JSON"):
        read_card(tmp_path / "x")
    (tmp_path / "x" / "card.json").write_text(json.dumps([1]), "utf-8")
    with pytest.raises(FormatError, match="holds list"):
        read_card(tmp_path / "x")


LLAMA = {
    "llama.context_length": 64,
    "llama.embedding_length": 32,
    "llama.block_count": 1,
    "llama.feed_forward_length": 64,
    "llama.attention.head_count": 1,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}
