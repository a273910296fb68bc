"""`kataribe prompts`: templates kept, changed, run and improved."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kataribe.base.lm import Request
from kataribe.base.messages import text_of
from kataribe.run.providers.scripted import Reply

GREET = "Say {{what}} in {{language}}."


def rows(out: str) -> list[list[str]]:
    return [line.split("\t") for line in out.splitlines()]


def test_a_prompt_is_made_shown_listed_and_changed(cli):
    done = cli("prompts", "new", "greet", "--text", GREET)
    assert (done.code, done.out) == (0, "greet@1\n")
    assert "what, language" in done.err
    assert cli("prompts", "show", "greet").out == f"{GREET}\n"
    done = cli("prompts", "edit", "greet", "--note", "louder", given=b"Shout {{what}}!\n")
    assert done.out == "greet@2\n"
    assert "Nothing" in cli("prompts", "edit", "greet", given=b"Shout {{what}}!\n").err
    assert cli("prompts", "show", "greet@1").out == f"{GREET}\n"
    listed = rows(cli("prompts", "list").out)
    assert [row[:3] for row in listed] == [["greet", "2", "what"]]
    versions = rows(cli("prompts", "show", "greet", "--versions").out)
    assert [(row[0], row[4]) for row in versions] == [("greet@2", "louder"), ("greet@1", "")]
    told = json.loads(cli("prompts", "show", "greet", "--json").out)
    assert [each["version"] for each in told["versions"]] == [1, 2]
    diff = cli("prompts", "diff", "greet").out
    assert diff.startswith("--- greet@1\n+++ greet@2\n")
    assert "+Shout {{what}}!" in diff
    assert cli("prompts", "diff", "greet", "2", "1").out.startswith("--- greet@2")
    assert "the same" in cli("prompts", "diff", "greet", "2", "2").err


def test_an_editor_opens_with_the_version_that_is_named(cli, tmp_path, monkeypatch):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/Say/Whisper/ "$1"\n')
    editor.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(editor))
    cli("prompts", "new", "greet", "--text", GREET)
    cli("prompts", "edit", "greet", "--text", "Other {{x}}")
    monkeypatch.setattr("kataribe.cli.prompts.new._has_terminal", lambda: True)
    done = cli("prompts", "edit", "greet@1")
    assert done.out == "greet@3\n"
    assert cli("prompts", "show", "greet").out == "Whisper {{what}} in {{language}}.\n"


def test_a_prompt_is_run_and_its_version_remembered(cli, served):
    lm = served(["こんにちは", "Hello.", "Hi."])
    cli("prompts", "new", "greet", "--text", GREET)
    values = ("--var", "what=hello", "--var", "language=Japanese")
    done = cli("prompts", "run", "greet", *values)
    assert (done.code, done.out) == (0, "こんにちは\n"), done.err
    assert text_of(lm.requests[0].prompt[-1]) == "Say hello in Japanese."
    cli("prompts", "edit", "greet", "--text", "Shout {{what}}!")
    done = cli("prompts", "run", "greet", "--var", "what=hi", "--repeat", "2", "--seed", "5")
    assert done.out == "Hello.\nHi.\n"
    assert [each.seed for each in lm.requests[1:]] == [5, 6]
    found = rows(cli("prompts", "history", "greet").out)
    assert [(row[0], row[4]) for row in found] == [
        ("greet@2", "Hi."),
        ("greet@2", "Hello."),
        ("greet@1", "こんにちは"),
    ]
    one = json.loads(cli("prompts", "history", "greet@1", "--json").out)
    assert [(each["number"], each["given"]) for each in one] == [
        (1, {"what": "hello", "language": "Japanese"})
    ]
    assert one[0]["completion_tokens"] == 15


def test_run_with_a_technique_as_json(cli, served, tmp_path):
    served(["I know.", "Answer."])
    (tmp_path / "v").write_text("a value\nof two lines")
    cli("prompts", "new", "greet", "--text", "{{what}}?")
    done = cli(
        *("prompts", "run", "greet", "--var-file", f"what={tmp_path / 'v'}", "--json"),
        *("--technique", "generated-knowledge", "--option", "statements=1"),
    )
    assert (done.code, done.err) == (0, "")
    (told,) = json.loads(done.out)
    assert (told["prompt"], told["text"]) == ("greet@1", "Answer.")
    assert told["technique"] == {"name": "generated-knowledge", "options": {"statements": "1"}}
    assert told["variables"] == {"what": "a value\nof two lines"}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("run", "greet", "--var", "what=x"), 2, "no value for 'language'"),
        (
            ("run", "greet", "--var", "what=x", "--var", "language=y", "--var", "tone=z"),
            2,
            "a value for 'tone', which it does not have",
        ),
        (("run", "greet", "--var", "what"), 2, "NAME=VALUE"),
        (("run", "greet", "--var", "what=x", "--var", "what=y"), 2, "given twice"),
        (("run", "greet", "--var-file", "what=gone.txt"), 1, "gone.txt cannot be read"),
        (("run", "greet@9", "--var", "what=x"), 3, "no version 9; it has only version 1"),
        (("run", "greet@x"), 2, "NAME@NUMBER"),
        (("run", "gret"), 3, "Did you mean greet"),
        (("run", "greet", "--technique", "nonsense"), 3, "There is no technique"),
        (("show", "greet@0"), 2, "NAME@NUMBER"),
        (("diff", "greet"), 2, "first version"),
        (("diff", "greet", "1", "2"), 3, "no version 2"),
        (("new", "greet", "--text", "x"), 2, "There is a prompt greet already"),
        (("new", "a b", "--text", "x"), 2, "cannot name a prompt"),
        (("new", "other", "--text", "{{not one}}"), 2, "Line 1 of the template"),
        (("new", "other", "--text", " "), 2, "needs words"),
        (("new", "other"), 2, "needs words"),
        (("rm", "greet@1", "--yes"), 2, "never deleted alone"),
        (("restore", "greet"), 3, "can come back"),
        (("techniques", "cott"), 3, "There is no technique"),
        (("list", "--user", "nobody"), 3, "nobody"),
    ],
)
def test_bad_input_is_refused_and_nothing_changes(cli, served, words, code, told):
    lm = served("x")
    cli("prompts", "new", "greet", "--text", GREET)
    done = cli("prompts", *words)
    assert done.code == code, done.err
    assert told in done.err
    assert lm.requests == []
    assert [row[:2] for row in rows(cli("prompts", "list").out)] == [["greet", "1"]]


def test_what_is_deleted_comes_back(cli, served):
    served("Hello.")
    cli("prompts", "new", "greet", "--text", "Hi")
    cli("prompts", "run", "greet")
    assert cli("prompts", "rm", "greet", "--yes").code == 0
    assert cli("prompts", "show", "greet").code == 3
    assert rows(cli("prompts", "list", "--deleted").out)[0][0] == "greet"
    assert cli("prompts", "restore", "greet").out == "greet@1\n"
    assert rows(cli("prompts", "history", "greet").out)[0][4] == "Hello."
    assert cli("prompts", "rename", "greet", "welcome").out == "welcome\n"
    assert cli("prompts", "show", "welcome").out == "Hi\n"


def test_techniques_are_listed_with_their_papers(cli):
    found = {row[0]: row for row in rows(cli("prompts", "techniques").out)}
    assert len(found) == 9
    assert "Wang et al. 2023" in found["self-consistency"][3]
    one = cli("prompts", "techniques", "self-consistency").out
    assert "paths [5]" in one
    told = json.loads(cli("prompts", "techniques", "--json").out)
    assert [each["name"] for each in told] == list(found)


def test_an_instruction_is_searched_measured_and_kept(cli, served, tmp_path):
    def script(request):
        words = text_of(request.prompt[-1])
        if "double" in words and "=>" not in words and "Be exact" in words:
            number = int(words.rsplit(" ", 1)[1])
            return str(2 * number)
        return "Be exact." if request.sampling.temperature else "no idea"

    served(script)
    file = tmp_path / "e.jsonl"
    lines = [{"question": f"double {n}", "answer": str(2 * n)} for n in range(1, 13)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = cli("prompts", "improve", str(file), "--candidates", "2", "--save", "double")
    assert (done.code, done.out) == (0, "Be exact.\n"), done.err
    assert "Right on 6 examples that were held out: 100.0%" in done.err
    assert "The bare question on the same: 0.0%" in done.err
    assert "Kept as double@1" in done.err
    assert cli("prompts", "show", "double").out == "Be exact.\n\n{{question}}\n"
    again = json.loads(
        cli("prompts", "improve", str(file), "--candidates", "2", "--save", "double", "--json").out
    )
    assert (again["instruction"], again["held_out"], again["kept_as"]) == (
        "Be exact.",
        6,
        "double@1",
    )
    assert again["difference"]["low"] > 0


def test_too_few_examples_are_refused(cli, served, tmp_path):
    served("x")
    file = tmp_path / "e.jsonl"
    file.write_text('{"question": "a", "answer": "b"}\n')
    done = cli("prompts", "improve", str(file))
    assert done.code == 2
    assert "at least 4" in done.err


def test_limits_are_for_all_repeats_and_what_was_found_is_kept(cli, served):
    lm = served(["one", "two", "three"])
    cli("prompts", "new", "greet", "--text", "Hi")
    done = cli("prompts", "run", "greet", "--repeat", "3", "--steps", "2")
    assert (done.code, done.out) == (0, "one\ntwo\n"), done.err
    assert "(ended by budget: A limit of 2 model calls" in done.err
    assert "There are 2 of 3 answers." in done.err
    assert len(lm.requests) == 2
    assert [row[4] for row in rows(cli("prompts", "history", "greet").out)] == ["two", "one"]


def test_a_limit_cuts_an_answer_and_what_was_said_is_kept(cli, served):
    said = "one two three four five six seven eight nine ten"
    served([Reply(said, pace=0.01, pieces=tuple(re.findall(r"\w+ ?", said)))] * 2)
    cli("prompts", "new", "greet", "--text", "Hi")
    done = cli("prompts", "run", "greet", "--repeat", "2", "--tokens", "8", "--json")
    assert done.code == 0, done.err
    (told,) = json.loads(done.out)
    assert said.startswith(told["text"])
    assert told["text"] not in ("", said)
    assert (told["finish_reason"], "A limit of 8 tokens" in told["detail"]) == ("budget", True)
    assert "ended by budget" in done.err
    (kept,) = json.loads(cli("prompts", "history", "greet", "--json").out)
    assert kept["text"] == told["text"]


def test_time_ends_it_where_no_word_was_said(cli, served):
    served([Reply("Never.", delay=300.0)])
    cli("prompts", "new", "greet", "--text", "Hi")
    done = cli("prompts", "run", "greet", "--seconds", "0.2", "--json")
    assert (done.code, json.loads(done.out)) == (0, []), done.err
    assert "(ended by deadline: A limit of 0.2 s" in done.err
    assert cli("prompts", "history", "greet").out == ""


def test_a_technique_that_a_shared_limit_cuts_says_so(cli, served):
    lm = served(["One. Answer: 5", "Two. Answer: 5", "Three. Answer: 6", "Four. Answer: 6"])
    cli("prompts", "new", "sum", "--text", "2+3?")
    done = cli(
        *("prompts", "run", "sum", "--repeat", "2", "--steps", "3", "--json"),
        *("--technique", "self-consistency", "--option", "paths=2", "--option", "at_once=1"),
    )
    assert done.code == 0, done.err
    first, second = json.loads(done.out)
    assert (first["finish_reason"], second["finish_reason"]) == ("stop", "budget")
    assert "A limit of 3 model calls" in second["detail"]
    assert len(lm.requests) == 3


@pytest.mark.parametrize("flag", ["--steps", "--tokens", "--seconds", "--money"])
def test_limits_that_leave_nothing_are_refused(cli, served, tmp_path, flag):
    lm = served("x")
    file = doubles(tmp_path)
    cli("prompts", "new", "greet", "--text", "Hi")
    for words in (("run", "greet"), ("improve", file)):
        done = cli("prompts", *words, flag, "0")
        assert (done.code, f"{flag} is 0" in done.err) == (2, True), done.err
        unknown = cli("prompts", *words, "--model", "translator", "--money", "1")
        assert (unknown.code, "Nobody knows the price" in unknown.err) == (2, True), unknown.err
    assert lm.requests == []


def doubles(folder: Path) -> str:
    file = folder / "e.jsonl"
    lines = [{"question": f"double {n}", "answer": str(2 * n)} for n in range(1, 13)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(file)


def guessing(request: Request) -> str:
    words = text_of(request.prompt[-1])
    if "double" in words and "=>" not in words and "Be exact" in words:
        return str(2 * int(words.rsplit(" ", 1)[1]))
    return "Be exact." if request.sampling.temperature else "no idea"


@pytest.mark.parametrize(
    ("steps", "candidates", "untried", "score", "base"),
    [
        (1, [], ["Be exact."], None, None),  # while the bare question is tried
        (9, [""], ["Be exact."], None, None),
        (13, ["Be exact.", ""], [], None, None),
        (19, ["Be exact.", ""], [], None, 0.0),
        (25, ["Be exact.", ""], [], 1.0, 0.0),
    ],
)
def test_a_limit_ends_the_search_with_what_was_found(
    cli, served, tmp_path, steps, candidates, untried, score, base
):
    lm = served(guessing)
    words = ("prompts", "improve", doubles(tmp_path), "--candidates", "1", "--steps", str(steps))
    told = json.loads(cli(*words, "--save", "double", "--json").out)
    assert [each["instruction"] for each in told["candidates"]] == candidates
    assert told["untried"] == untried
    found = [None if told[name] is None else told[name]["mean"] for name in ("score", "base")]
    assert found == [score, base]
    assert told["instruction"] == ("Be exact." if "Be exact." in candidates else "")
    assert told["kept_as"] == ("double@1" if told["instruction"] else None)
    assert told["finish_reason"] == ("stop" if steps == 25 else "budget")
    assert len(lm.requests) <= steps


def test_which_limit_ended_the_search_is_said(cli, served, tmp_path):
    served(guessing)
    words = ("prompts", "improve", doubles(tmp_path), "--candidates", "1", "--save", "double")
    done = cli(*words, "--steps", "14")
    assert (done.code, done.out) == (0, "Be exact.\n"), done.err
    assert "(ended by budget: A limit of 14 model calls" in done.err
    assert "held out: not measured" in done.err
    (row,) = rows(cli("prompts", "show", "double", "--versions").out)
    assert "not measured" in row[4]
    done = cli(*words, "--steps", "3")
    assert (done.code, done.out) == (0, ""), done.err
    assert "Guessed and not tried: Be exact." in done.err
    assert "there is no winner" in done.err
