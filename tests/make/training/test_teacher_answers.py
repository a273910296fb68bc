"""Distillation from a teacher's text: what it is asked, what is kept, and what is done about it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import (
    BusyError,
    ContextLengthError,
    FormatError,
    InputError,
    ProviderError,
    UnavailableError,
    UnsupportedError,
)
from kataribe.base.lm import LM, Request, Sampling
from kataribe.base.messages import text_of
from kataribe.make.text.corpus import Corpus
from kataribe.make.tokens.chat_data import read_conversations
from kataribe.make.training.asked import TextDistilling
from kataribe.make.training.taught_chats import data_name, make_taught_chats
from kataribe.make.training.teacher_answers import PATIENCE, Asking, Journal, ask_teacher
from kataribe.make.training.teacher_prompts import read_prompts
from kataribe.run.providers.scripted import Reply, ScriptedLM


def echo(request: Request) -> Any:
    return f"You said {text_of(request.prompt[-1])}"  # type: ignore[arg-type]


def asked_file(path: Path, count: int = 12) -> Path:
    rows: list[dict[str, Any]] = [{"prompt": f"Question {n * n + 7}?"} for n in range(count)]
    rows[3] = {
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Who are you?"},
            {"role": "assistant", "content": "An answer that is to be replaced."},
        ]
    }
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def made(
    tmp_path: Path, source: Path, script: Any = echo, **changes: Any
) -> tuple[Corpus, ScriptedLM]:
    lm = ScriptedLM(script)
    asked = TextDistilling(**{"questions": str(source), "teacher": "scripted", **changes})

    @contextlib.contextmanager
    def opened() -> Iterator[LM]:
        yield lm

    return make_taught_chats(asked, source, tmp_path / "corpora" / "taught", opened), lm


def said(corpus: Corpus) -> dict[str, str]:
    found = {}
    for path in (corpus.train, corpus.valid):
        assert path is not None
        for each in read_conversations(path):
            found[text_of(each.messages[-2])] = text_of(each.messages[-1])
    return found


def test_answers_become_chat_data(tmp_path: Path) -> None:
    source = asked_file(tmp_path / "q.jsonl")
    corpus, lm = made(tmp_path, source, held_out=0.2, temperature=0.3, max_tokens=99, seed=5)
    answers = said(corpus)
    assert len(answers) == 12
    assert answers["Who are you?"] == "You said Who are you?"
    held = next(request for request in lm.requests if len(request.prompt) == 2)
    assert text_of(held.prompt[0]) == "Be short."  # type: ignore[arg-type]
    assert (held.sampling.temperature, held.sampling.max_tokens) == (0.3, 99)
    assert len({request.seed for request in lm.requests}) == 12
    card = corpus.card
    assert card["choices"]["teacher"] == "scripted"
    assert (card["splits"]["train"]["documents"], card["splits"]["valid"]["documents"]) == (10, 2)
    assert card["answers"] == 12
    corpus.verify()
    assert not list((tmp_path / "corpora").glob(".*"))
    # What is there is not asked for again, and other settings are not taken for these.
    again, other = made(tmp_path, source, held_out=0.2, temperature=0.3, max_tokens=99, seed=5)
    assert again.card == card
    assert not other.requests
    with pytest.raises(InputError, match=r"max_tokens: 99 -> 50.*--data"):
        made(tmp_path, source, held_out=0.2, temperature=0.3, max_tokens=50, seed=5)


def test_answers_that_a_killed_process_left_beside_the_made_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = asked_file(tmp_path / "q.jsonl")
    with monkeypatch.context() as killed:
        killed.setattr(Journal, "remove", lambda _: None)
        corpus, _ = made(tmp_path, source, seed=5)
    journal = tmp_path / "corpora" / ".taught.answers"
    assert journal.is_dir()
    with pytest.raises(InputError, match=r"seed: 5 -> 6"):
        made(tmp_path, source, seed=6)
    assert not journal.exists()
    shutil.rmtree(corpus.path)  # as it says
    corpus, _ = made(tmp_path, source, seed=6)
    assert corpus.card["choices"]["seed"] == 6


@pytest.mark.parametrize("card", [None, {"format": 1}, {"format": 1, "choices": {"seed": 0}}])
def test_another_corpus_is_not_taken_for_answers(tmp_path: Path, card: dict[str, Any]) -> None:
    there = tmp_path / "corpora" / "taught"
    there.mkdir(parents=True)
    for name in ("train.jsonl", "valid.jsonl"):
        (there / name).touch()
    if card is not None:
        (there / "card.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"taught is there already, and holds no.*--data"):
        made(tmp_path, asked_file(tmp_path / "q.jsonl"))


@pytest.mark.parametrize("at", ["http://me:secret@127.0.0.1:8000", "https://key@x/v1", "secret@x"])
def test_a_password_in_an_address_is_written_nowhere(at: str) -> None:
    with pytest.raises(InputError, match="OPENAI_API_KEY") as found:
        TextDistilling("q.jsonl", "teacher", at)
    assert "secret" not in found.value.message
    assert TextDistilling("q.jsonl", "teacher", "http://127.0.0.1:8000/@me").at is not None


def test_what_cannot_be_learned_from_is_left_out_and_counted(tmp_path: Path) -> None:
    source = tmp_path / "q.jsonl"
    words = ["cut", "empty", "filtered", "long", "fine", "fine", "twice"]
    source.write_text("".join(json.dumps({"prompt": each}) + "\n" for each in words))

    def script(request: Request) -> Any:
        word = text_of(request.prompt[-1])  # type: ignore[arg-type]
        return {
            "cut": Reply("And so", reason="length"),
            "empty": "  \n ",
            "filtered": Reply("No.", reason="content_filter"),
            "long": ContextLengthError(5000, 4096),
        }.get(word, f"{word} it is")

    corpus, _ = made(tmp_path, source, script, held_out=0.0, answers=2)
    assert said(corpus) == {"fine": "fine it is", "twice": "twice it is"}
    dropped = {name: each["count"] for name, each in corpus.card["dropped"].items()}
    assert dropped == {
        "length": 2, "empty": 2, "content_filter": 2, "refused": 2, "same": 2, "prompt_again": 1,
        "like_training": 0,
    }  # fmt: skip
    assert "5000 tokens" in corpus.card["dropped"]["refused"]["samples"][0]["text"]
    with pytest.raises(InputError, match=r"No answer can be learned from \(6 length\).*max-tokens"):
        made(tmp_path / "b", source, Reply("And", reason="length"), held_out=0.0)


def test_who_is_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = asked_file(tmp_path / "q.jsonl")
    monkeypatch.setattr("kataribe.make.training.teacher_answers.PATIENCE", ())
    count = 0

    def failing(request: Request) -> Any:
        nonlocal count
        count += 1
        return ProviderError("gone") if count > 5 else echo(request)

    with pytest.raises(ProviderError, match="gone"):
        made(tmp_path, source, failing, at_once=1)
    journal = tmp_path / "corpora" / ".taught.answers"
    lines = (journal / "answers.jsonl").read_text().splitlines()
    assert len(lines) == 5
    with (journal / "answers.jsonl").open("a") as file:
        file.write('{"key": "half')  # a killed process
    with pytest.raises(InputError, match=r"seed: 0 -> 9"):
        made(tmp_path, source, echo, seed=9)
    corpus, lm = made(tmp_path, source, echo, at_once=3)
    assert len(lm.requests) == 7
    assert len(said(corpus)) == 12
    assert not journal.exists()


def ask(tmp_path: Path, script: Any, count: int = 3) -> tuple[Journal, list[float]]:
    prompts, _ = read_prompts(asked_file(tmp_path / "q.jsonl", max(count, 4)), 0.0)
    journal, paused = Journal(tmp_path / "journal"), []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    how = Asking(Sampling(temperature=0.0), 1, 1, 0)
    with journal.held({"a": 1}):
        with (
            pytest.raises(UnavailableError, match="Another process"),
            Journal(tmp_path / "journal").held({"a": 1}),
        ):
            pass
        asyncio.run(ask_teacher(ScriptedLM(script), prompts, how, journal, pause=pause))
    return journal, paused


def test_a_busy_teacher_is_asked_again(tmp_path: Path) -> None:
    tries: list[Callable[[], Any]] = [
        lambda: BusyError("later", retry_after=2.5), lambda: UnavailableError("gone")
    ]  # fmt: skip

    def script(request: Request) -> Any:
        return tries.pop(0)() if tries else echo(request)

    journal, paused = ask(tmp_path, script)
    assert paused == [2.5, PATIENCE[1]]
    assert len(journal.answers) == 4
    with pytest.raises(ProviderError, match="broken"):
        ask(tmp_path / ".", lambda _: ProviderError("broken"), 5)


def test_a_teacher_that_cannot_is_not_asked_on(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="no chat"):
        ask(tmp_path, lambda _: UnsupportedError("no chat"))
    with pytest.raises(InputError, match=r"refused all of the first 20 prompts.*never"):
        ask(tmp_path, lambda _: InputError("never"), 40)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "a"}, "Line 1 of .* asks nothing"),
        ({"prompt": " "}, "no words in message 1"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "has the turns assistant"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "role 'tool'"),
        ({"messages": "a"}, "has no messages"),
    ],
)
def test_lines_that_ask_nothing(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    (tmp_path / "q.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(FormatError, match=words):
        read_prompts(tmp_path / "q.jsonl", 0.1)


def test_a_folder_says_what_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"prompt": "One?"}\n{"prompt": "Two?"}\n')
    (tmp_path / "valid.jsonl").write_text('{"prompt": "Three?"}\n')
    prompts, again = read_prompts(tmp_path, 0.5)
    assert {each.text: each.held_out for each in prompts} == {
        "One?": False, "Two?": False, "Three?": True
    }  # fmt: skip
    assert again == 0
    (tmp_path / "valid.jsonl").write_text('{"prompt": "one? "}\n')
    with pytest.raises(InputError, match="1 of the 1 different examples"):
        read_prompts(tmp_path, 0.5)
    (tmp_path / "train.jsonl").write_text("")
    (tmp_path / "valid.jsonl").unlink()
    with pytest.raises(InputError, match="nothing to ask"):
        read_prompts(tmp_path, 0.5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"teacher": None}, "--teacher NAME"),
        ({"at": "localhost:80"}, "must be an address"),
        ({"answers": 2, "temperature": 0.0}, "all of them are the same"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"base": "b", "too_long": "x"}, "too_long is 'x'"),
    ],
)
def test_what_a_teacher_cannot_be_asked(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        TextDistilling(**{"questions": "q", "teacher": "t", **values})


def test_answers_have_a_name_that_a_folder_can_have() -> None:
    asked = TextDistilling("a/my questions.jsonl", teacher="org/model:7b")
    assert data_name(asked) == "my-questions-by-org-model-7b"
