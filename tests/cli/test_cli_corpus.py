"""`kataribe corpus`: text to train on, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

TEXTS = {
    f"{number:02}.txt": "\n".join(
        f"Sentence {line} of text {number} tells about {chr(97 + (number * line) % 26)}"
        f"{chr(97 + (number + 3 * line) % 26)}{chr(97 + (7 * number * line) % 26)}{number}x{line}."
        for line in range(1, 30)
    )
    for number in range(20)
}


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    (folder / "short.txt").write_text("Too short.")
    sentences = [
        f"これは{number}番目の文です。昔々、{number * 7}人の人が山へ行きました。"
        for number in range(40)
    ]
    (folder / "sjis.txt").write_bytes("\n".join(sentences).encode("cp932"))
    return folder


def card_of(cli):
    return json.loads(cli("corpus", "show", "tales", "--json").out)


def test_make_show_list_and_rm(cli, texts, kataribe_home):
    made = cli("corpus", "make", "tales", str(texts))
    assert made.code == 0, made.err
    assert made.out.startswith(f"tales is here: {kataribe_home / 'corpora' / 'tales'}")
    assert "cp932 1" in made.err
    assert "Dropped 1 texts" in made.err
    listed = cli("corpus", "list").out.split("\t")
    assert listed[:2] == ["tales", "21"]
    assert json.loads(cli("corpus", "list", "--json").out)[0]["sources"] == [str(texts)]
    shown = cli("corpus", "show", "tales", "--verify").out
    assert "too_short: 1 texts" in shown
    assert "short.txt" in shown
    assert "Too short." in shown
    assert "leak check: no validation text in training" in shown
    assert "checksums" in shown
    both = {}
    for side in card_of(cli)["splits"].values():
        for language, counts in side["by_language"].items():
            both[language] = both.get(language, 0) + counts["documents"]
    shares = [line for line in shown.splitlines() if "validation has" in line]
    assert sorted(line.split()[0] for line in shares) == sorted(both)
    assert all("%" in line for line in shares)
    kept = next(iter(both))
    cli("corpus", "make", "part", str(texts), "--language", kept)
    part = cli("corpus", "show", "part").out
    assert f"languages read: {kept} " in part
    assert f"; kept: {kept}" in part
    assert "Too short." not in cli("corpus", "show", "tales", "--no-samples").out
    card = json.loads(cli("corpus", "show", "tales", "--json").out)
    assert card["choices"]["unicode"] == "nfc"
    assert cli("corpus", "rm", "tales").out == "tales is removed.\n"
    assert cli("corpus", "show", "tales").code == 3


def test_the_default_source_is_the_standard_library(cli):
    card = json.loads(cli("corpus", "make", "code", "--megabytes", "0.2", "--json").out)
    assert card["choices"]["sources"] == ["stdlib"]
    assert set(card["splits"]["train"]["languages"]) == {"code"}


def test_options_reach_the_corpus(cli, tmp_path, texts):
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps({"body": "A validation text that nobody has trained on. " * 3}))
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\n".join(json.dumps({"body": text}) for text in TEXTS.values()))
    made = cli(
        "corpus", "make", "x", str(lines), "--field", "body", "--valid", str(own), "--unicode",
        "nfkc", "--language", "en, und", "--filter-off", "all", "--near", "0.9", "--json",
    )  # fmt: skip
    assert made.code == 0, made.err
    card = json.loads(made.out)
    assert card["splits"]["valid"]["documents"] == 1
    wanted = {"field": "body", "unicode": "nfkc", "languages": ["en", "und"], "near": 0.9}
    assert card["choices"].items() >= wanted.items()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("make", "x", "nowhere"), 3, "no file or folder 'nowhere'"),
        (("make", "bad name"), 2, "cannot be a corpus's name"),
        (("make", "x", "--unicode", "nfd"), 2, "one of none, nfc, nfkc"),
        (("make", "x", "--near", "2"), 2, "between 0.3"),
        (("make", "x", "--filter-off", "nope"), 2, "There is no filter 'nope'"),
        (("make", "x", "hf:nope"), 2, "names no data set"),
        (("show", "x"), 3, "There is no corpus 'x'"),
        (("rm", "x"), 3, "There is no corpus 'x'"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(cli, arguments, code, words):
    done = cli("corpus", *arguments)
    assert done.code == code
    assert words in done.err.splitlines()[-1]


def test_what_was_left_unread_is_said(cli, texts):
    made = cli("corpus", "make", "little", str(texts), "--megabytes", "0.01")
    assert made.code == 0, made.err
    assert "Left unread when 10 kB of text were kept: 1" in made.err
    assert "Left unread when 10 kB of text were kept: 1" in cli("corpus", "show", "little").out
    made = cli("corpus", "make", "much", str(texts), "--megabytes", "10")
    assert "Left unread" not in made.err + cli("corpus", "show", "much").out


def test_a_taken_name_needs_replace(cli, texts):
    assert cli("corpus", "make", "x", str(texts)).code == 0
    again = cli("corpus", "make", "x", str(texts))
    assert (again.code, "--replace" in again.err) == (2, True)
    assert cli("corpus", "make", "x", str(texts), "--replace").code == 0


def test_an_empty_workspace_says_what_to_do(cli):
    done = cli("corpus", "list")
    assert (done.code, done.out) == (0, "")
    assert "kataribe corpus make" in done.err


def test_a_damaged_corpus_is_listed_and_can_be_removed(cli, kataribe_home):
    (kataribe_home / "corpora" / "bad").mkdir(parents=True)
    assert "bad\tdamaged" in cli("corpus", "list").out
    assert cli("corpus", "show", "bad").code == 1
    assert cli("corpus", "rm", "bad", "--yes").code == 0


def test_a_bar_is_drawn_in_a_terminal(cli, texts, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert cli("corpus", "make", "x", str(texts)).code == 0


def test_the_commands_start_without_torch_or_pyarrow():
    code = (
        "import sys, kataribe.cli.corpus.app, kataribe.make.text\n"
        "print([m for m in ('torch', 'transformers', 'pyarrow', 'py3langid') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": ":".join(sys.path)})  # fmt: skip
    assert done.stdout == "[]\n"


def test_instructions_are_made_and_shown(cli, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    lines = [{"en": f"This is thing {i}.", "ja": f"これは{i}番です。"} for i in range(100)]
    pairs.write_text("\n".join(json.dumps(line) for line in lines))
    made = cli("corpus", "instructions", "tr", "--from", f"pairs:{pairs}", "--valid-share", "0.2")
    assert made.code == 0, made.err
    assert "to_japanese" in made.out
    assert "conversations about" in cli("corpus", "show", "tr", "--verify").out
    assert cli("corpus", "list").out.split("\t")[:4:3] == ["tr", "instructions"]
    again = cli("corpus", "instructions", "tr", "--from", f"pairs:{pairs}")
    assert (again.code, "--replace" in again.err) == (2, True)
    assert cli("corpus", "instructions", "x", "--from", "nope").code == 2
