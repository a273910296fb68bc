"""`kataribe tokenizer` and `kataribe dataset`: from a corpus to a batch that one can read."""

from __future__ import annotations

import itertools
import json
import sys

import pytest

from kataribe.base.workspace import Workspace
from kataribe.cli.tokenizer.coloured import COLOURS, SPECIAL, coloured, visible
from kataribe.make.tokens.shown import ShownPiece
from tests.make.tokens import small_corpus, trained


@pytest.fixture
def corpus(kataribe_home):
    return small_corpus.write_corpus(Workspace.locate().corpora / "small")


@pytest.fixture
def words(kataribe_home):
    """Tokenizers of every kind, by name."""
    folder = Workspace.locate().tokenizers
    folder.mkdir(parents=True)
    for kind in ("bpe", "wordpiece", "unigram"):
        (folder / kind).symlink_to(trained.folder(kind))


def test_a_tokenizer_is_trained_shown_and_listed(cli, corpus):
    assert "train NAME CORPUS" in cli("tokenizer", "list").err
    done = cli("tokenizer", "train", "mine", "small", "--size", "700")
    assert done.code == 0, done.err
    assert done.out.startswith("mine is here: ")
    assert "bpe, 700 pieces, from 210 documents (246 kB), in" in done.out
    (row,) = [line.split("\t") for line in cli("tokenizer", "list").out.splitlines()]
    assert row == ["mine", "bpe", "700", "small", "246 kB"]
    assert json.loads(cli("tokenizer", "list", "--json").out)[0]["pieces"] == 700
    known = json.loads(cli("tokenizer", "show", "mine", "--json").out)
    assert (known["kind"], known["llama.cpp"], known["chat_template"]) == ("bpe", "qwen2", True)
    shown = json.loads(cli("tokenizer", "show", "mine", "猫 cat\n", "--json").out)
    assert shown["round_trip"] is True
    assert shown["tokens"] == len(shown["pieces"])
    lines = cli("tokenizer", "show", "mine", "cat\n")
    assert [json.loads(line.split("\t")[2]) for line in lines.out.splitlines()][-1] == "\n"
    assert "bytes a token" in lines.err
    again = cli("tokenizer", "train", "mine", "small")
    assert again.code == 2
    assert "already" in again.err


def test_a_small_corpus_says_that_it_gave_less(cli, corpus, tmp_path):
    (tmp_path / "tiny.txt").write_text("a few words " * 20, "utf-8")
    done = cli("tokenizer", "train", "tiny", str(tmp_path / "tiny.txt"), "--kind", "unigram")
    assert done.code == 0, done.err
    assert "of the 16,384 pieces asked for" in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train", "x", "nothing"), 3, "no corpus called nothing"),
        (("train", "../x", "small"), 2, "no name for a tokenizer"),
        (("train", "x", "small", "--size", "9"), 2, "vocabulary of 9 pieces"),
        (("show", "nothing"), 3, "no tokenizer or model called nothing"),
        (("compare", "small", "--kinds", "bpe,bytes"), 2, "take some of bpe, wordpiece, unigram"),
        (("compare", "small", "--sizes", "many"), 2, "give numbers such as"),
    ],
)
def test_what_cannot_be_is_told(cli, corpus, arguments, code, words):
    done = cli("tokenizer", *arguments)
    assert done.code == code
    assert words in done.err


def test_kinds_are_compared(cli, corpus):
    done = cli("tokenizer", "compare", "small", "--sizes", "600", "--text", "猫が鳴く")
    assert done.code == 0, done.err
    assert "Trained on 246 kB, measured on 27.9 kB." in done.err
    names = [line.split("\t")[0] for line in done.out.splitlines()]
    assert names.count("bpe-600") == names.count("wordpiece-600") == names.count("unigram-600") == 3
    one = ("tokenizer", "compare", "small", "--sizes", "600", "--kinds", "bpe", "--json")
    found = json.loads(cli(*one).out)
    (row,) = found["rows"]
    assert row["round_trip"] == 1.0
    assert {each["of"] for each in row["languages"]} == {"en", "ja", "code", "?"}
    assert found["held_out"] > 20_000


def test_a_corpus_in_one_file_keeps_documents_apart_to_measure_on(cli, corpus):
    whole = str(corpus / "train.jsonl")
    done = cli("tokenizer", "compare", whole, "--sizes", "600", "--kinds", "bpe", "--json")
    found = json.loads(done.out)
    size = sum(
        len(json.loads(line)["text"].encode())
        for line in (corpus / "train.jsonl").read_text("utf-8").split("\n")[:-1]
    )
    assert found["trained_on"] + found["held_out"] == size


def _rows(out: str) -> list[list[str]]:
    return [line.split("\t") for line in out.splitlines() if "\t" in line]


def test_a_batch_for_pre_training_is_shown(cli, corpus, words):
    asked = ("dataset", "show", "small", "--tokenizer", "bpe", "--length", "16")
    done = cli(*asked)
    assert done.code == 0, done.err
    rows = _rows(done.out)
    assert len(rows) == 32
    for this, following in itertools.pairwise(rows[:16]):
        assert this[3] == following[1]  # the target is the next id
        assert this[4] == following[2]
    assert "Padding takes 0.0% of this batch" in done.err
    assert cli(*asked).out == done.out
    assert cli(*asked, "--step", "1").out != done.out
    found = json.loads(cli(*asked, "--json").out)
    assert [cell["id"] for cell in found["sides"]["batch"][0]] == [int(row[1]) for row in rows[:16]]


@pytest.mark.parametrize(
    ("objective", "row"),
    [
        ("chat", {"messages": [{"role": r, "content": r[0]} for r in ("user", "assistant")]}),
        ("classify", {"text": "good", "label": "fine"}),
        ("tag", {"words": ["a", "b"], "tags": ["X", "O"]}),
        ("embed", {"query": "q", "passage": "p"}),
    ],
)
def test_folders_show_what_they_train_on(cli, corpus, words, tmp_path, objective, row):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.jsonl").write_text(json.dumps(row), "utf-8")
    (tmp_path / "own" / "valid.jsonl").write_text("not read", "utf-8")
    asked = ("--tokenizer", "bpe", "--objective", objective, "--rows", "1", "--json")
    done = cli("dataset", "show", str(tmp_path / "own"), *asked)
    assert done.code == 0, done.err
    assert done.out == cli("dataset", "show", str(tmp_path / "own" / "train.jsonl"), *asked).out


def test_batches_of_other_objectives_are_shown(cli, corpus, words, tmp_path):
    data = {
        "chat": {"messages": [{"role": r, "content": r[0]} for r in ("user", "assistant")]},
        "classify": {"text": "good", "label": "fine"},
        "tag": {"words": ["a", "b"], "tags": ["X", "O"]},
        "embed": {"query": "q", "passage": "p"},
    }  # fmt: skip
    taught = {}
    for objective in ("masked", "denoise", *data):
        name = "small"
        if objective in data:
            name = str(tmp_path / f"{objective}.jsonl")
            (tmp_path / f"{objective}.jsonl").write_text(json.dumps(data[objective]), "utf-8")
        done = cli(
            "dataset", "show", name, "--tokenizer", "bpe", "--objective", objective,
            "--rows", "1", "--length", "64", "--json",
        )  # fmt: skip
        assert done.code == 0, done.err
        sides = json.loads(done.out)["sides"]
        taught[objective] = [
            cell["says"]
            for side in sides.values()
            for cell in side[0]
            if cell["target"] is not None
        ]
    assert taught["chat"] == ["a", "<|im_end|>"]
    assert taught["classify"] == ["fine"]
    assert taught["tag"] == ["X", "O"]
    assert taught["embed"] == []
    assert len(taught["masked"]) > 5
    assert taught["denoise"][0] == "<extra_id_0>"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tokenizer", "wordpiece", "--objective", "chat"), "no chat template"),
        (("--tokenizer", "bpe", "--length", "99999999"), "but one row takes 99999999"),
        (("--tokenizer", "bpe", "--rows", "9999999"), "but one batch takes 9999999"),
        (("--tokenizer", "bpe", "--length", "1"), "Rows of 1 tokens teach nothing"),
    ],
)
def test_bad_questions_about_batches_are_told(cli, corpus, words, arguments, said, tmp_path):
    data = "small" if "chat" not in arguments else _chat(tmp_path)
    done = cli("dataset", "show", data, *arguments)
    assert done.code == 2
    assert said in done.err


def _chat(tmp_path) -> str:
    path = tmp_path / "chat.jsonl"
    path.write_text('{"messages": []}', "utf-8")
    return str(path)


def test_pieces_have_colours_in_a_terminal():
    pieces = [
        ShownPiece(5, "a", "a", special=False),
        ShownPiece(6, "Ċ", "\n", special=False),
        ShownPiece(3, "<|im_end|>", "<|im_end|>", special=True),
        ShownPiece(9, "x", "\x1b[2J", special=False),
    ]
    line = coloured(pieces)
    assert line.plain == "a⏎\n<|im_end|><1B>[2J"
    assert [span.style for span in line.spans] == [*COLOURS[:2], SPECIAL, COLOURS[3]]
    assert visible(pieces[1]) == "⏎"


def test_a_batch_has_colours_in_a_terminal(cli, corpus, words, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    done = cli("dataset", "show", "small", "--tokenizer", "bpe", "--length", "8", "--rows", "1")
    assert done.code == 0, done.err
    assert "DOCUMENT" in done.out
