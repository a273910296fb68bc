"""`kataribe ask` and `chat` with techniques, tools and limits."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kataribe.base.encoders import Label
from kataribe.base.events import Progress, Step
from kataribe.base.lm import Capabilities, Request, reply
from kataribe.base.messages import ToolResultPart, text_message, text_of
from kataribe.base.workspace import Workspace
from kataribe.cli import consent
from kataribe.cli.means_here import _labels
from kataribe.cli.metering import Meters
from kataribe.cli.way import Flags, asked, way_of
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from tests.cli.conftest import ScriptedSource, leave_note, serving

SUM = Reply(calls=(Call("calculator", {"expression": "6*7"}),))


def test_a_technique_shows_its_steps_and_streams_the_answer(cli, served):
    lm = served(["Paris is in France.", "It is big.", "The answer."])
    done = cli(
        *("ask", "--technique", "generated-knowledge", "--option", "statements=2", "Where?"),
    )
    assert (done.code, done.out) == (0, "The answer.\n")
    assert "Paris is in France." in done.err
    assert len(lm.requests) == 3


def test_steps_of_an_assistant_behind_the_server_are_shown_too(cli, served):
    told = (Step("model", "qwen-coder: a word of its rule"), Step("plan", "日本語の手順"))
    served(Reply("Done.", steps=told, progress=(Progress("reading", 3, 9),)))
    done = cli("ask", "--model", "smollm2-135m", "?")
    assert (done.code, done.out) == (0, "Done.\n")
    assert done.err == "model: qwen-coder: a word of its rule\nplan: 日本語の手順\n"
    served_json = json.loads(cli("ask", "--json", "?").out)
    assert served_json["steps"] == [{"name": s.name, "detail": s.detail} for s in told]


def test_quiet_shows_the_answer_only(cli, served):
    served(["Paris is in France.", "The answer."])
    done = cli(
        *("ask", "--quiet", "--technique", "generated_knowledge", "--option", "statements=1", "?"),
    )
    assert (done.code, done.out, done.err) == (0, "The answer.\n", "")


def test_json_has_steps_and_what_all_calls_used(cli, served):
    lm = served(["One. Answer: 5", "Two. Answer: 5", "Three. Answer: 6"])
    done = cli("ask", "--json", "--technique", "self-consistency", "--option", "paths=3", "2+3?")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told["technique"] == "self-consistency"
    assert told["model"] == "smollm2-135m"
    assert (told["model_calls"], told["cost_usd"]) == (3, 0.0)
    steps = {step["name"]: step for step in told["steps"]}
    assert set(steps) >= {"path", "vote"}
    voted = json.loads(steps["vote"]["content"])
    assert (voted["answer"], voted["votes"]) == ("5", {"5": 2, "6": 1})
    assert voted["confidence"] == pytest.approx(2 / 3)
    said = ("One. Answer: 5", "Two. Answer: 5", "Three. Answer: 6")
    assert told["usage"]["completion_tokens"] == sum(map(len, said))
    assert len(lm.requests) == 3


def test_examples_come_from_a_file(cli, served, tmp_path):
    lm = served("4")
    file = tmp_path / "e.jsonl"
    file.write_text('{"question": "1+1?", "answer": "2"}\n{"question": "1+2?", "answer": "3"}\n')
    assert cli("ask", "--technique", "few-shot", "--examples", str(file), "2+2?").code == 0
    assert [text_of(each) for each in lm.requests[0].prompt] == ["1+1?", "2", "1+2?", "3", "2+2?"]


def test_documents_are_searched_for_retrieval(cli, served, tmp_path):
    lm = served("It opens at nine [1].")
    file = tmp_path / "shop.txt"
    file.write_text(
        "The shop opens at nine.\n\nThe cat is called Tama.\n\nBread costs two euros.\n"
    )
    done = cli(
        "ask", "--technique", "retrieval", "--documents", str(file), "Which shop opens early?"
    )
    assert done.code == 0
    asked = text_of(lm.requests[0].prompt[-1])
    assert "The shop opens at nine." in asked
    assert "Tama" not in asked


def test_documents_are_searched_by_the_tool(cli, served, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "shop.txt").write_text("The shop opens at nine.\n")
    search = Reply(calls=(Call("search_documents", {"query": "shop"}),))
    served([search, "At nine.", search, "At nine."])
    for words in (
        ("--documents", str(tmp_path / "docs")),
        ("--option", f"documents.folder={tmp_path / 'docs'}"),
    ):
        done = cli("ask", "--tools", "documents", *words, "When?")
        assert (done.code, done.out) == (0, "At nine.\n"), done.err
        assert "[1] shop.txt:1 The shop opens at nine." in " ".join(done.err.split())


def test_another_model_is_a_tool_and_counts(cli, served):
    call = Reply(calls=(Call("ask_smollm2-135m", {"question": "6*7?"}),))
    lm = served([call, "42", "It is 42."])
    done = cli("ask", "--json", "--tools", "model", "--option", "model.model=smollm2-135m", "?")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["text"], told["model_calls"], told["cost_usd"]) == ("It is 42.", 3, 0.0)
    assert [text_of(each) for each in lm.requests[1].prompt] == ["6*7?"]


def test_labels_that_came_over_the_wire_are_labels_again():
    assert _labels({"labels": {"glad": 0.9, "sad": 0.1}}) == (Label("glad", 0.9), Label("sad", 0.1))
    span = {"label": "CITY", "score": 0.8, "start": 3, "end": 7, "text": "Nara"}
    assert _labels({"spans": [span]}) == (Label("CITY", 0.8, 3, 7),)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--tools", "documents"), 2, "--documents FILE"),
        (("--tools", "documents", "--documents", "gone.txt"), 3, "There is no file or folder"),
        (("--tools", "clock", "--documents", "gone.txt"), 2, "--tools documents"),
        (("--tools", "model"), 2, "needs the option model"),
        (("--tools", "classifier", "--option", "classifier.mode=x"), 2, "Did you mean model"),
        (("--technique", "chain-of-thougt"), 3, "Did you mean chain-of-thought"),
        (("--technique", "cot"), 3, "Did you mean chain-of-thought"),
        (("--technique", "self-consistency", "--option", "path=3"), 2, "Did you mean paths"),
        (("--technique", "self-consistency", "--option", "paths=many"), 2, "'many'"),
        (("--technique", "self-consistency", "--option", "paths=0"), 2, "paths is 0"),
        (("--technique", "zero-shot", "--option", "instruction"), 2, "KEY=VALUE"),
        (("--option", "paths=3"), 2, "Add --technique"),
        (("--technique", "few-shot"), 2, "--examples FILE"),
        (("--technique", "few-shot", "--examples", "gone.jsonl"), 1, "gone.jsonl"),
        (("--examples", "gone.jsonl"), 2, "Add --technique few-shot"),
        (("--technique", "retrieval"), 2, "--documents FILE"),
        (("--technique", "react"), 2, "--tools calculator"),
        (("--technique", "chaining", "--tools", "clock"), 2, "take react"),
        (("--tools", "calculater"), 3, "Did you mean calculator"),
        (("--tools", "calcultor"), 3, "Did you mean calculator"),
        (("--tools", "clock,CALCULATR"), 3, "Did you mean calculator"),
        (("--tools", "zzz"), 3, "There are calculator, clock, "),
        (("--tools", "files"), 2, "needs the option folder"),
        (("--tools", "files", "--option", "files.foldr=."), 2, "Did you mean folder"),
        (("--tools", "clock", "--option", "files.folder=."), 2, "not among --tools"),
        (("--tools", "clock", "--option", "a=1"), 2, "Add --technique"),
        (("--approve", "sometimes", "--tools", "clock"), 2, "ask, never"),
        (("--steps", "0"), 2, "--steps is 0"),
        (("--tokens", "0"), 2, "--tokens is 0"),
        (("--seconds", "0"), 2, "--seconds is 0"),
        (("--money", "0"), 2, "--money is 0"),
        (("--money", "nan"), 2, "leaves nothing"),
    ],
)
def test_bad_ways_are_refused_before_anybody_is_asked(cli, served, words, code, told):
    lm = served("x")
    done = cli("ask", *words, "hi")
    assert done.code == code, done.err
    assert told in done.err
    assert (done.out, lm.requests) == ("", [])


def test_a_tool_that_harms_nobody_runs_unasked(cli, served):
    lm = served([SUM, "It is 42."])
    done = cli("ask", "--tools", "calculator,clock", "6 times 7?")
    assert (done.code, done.out) == (0, "It is 42.\n")
    assert "call: calculator" in done.err
    assert "result: calculator: 42" in done.err
    assert {spec.name for spec in lm.requests[0].tools} >= {"calculator"}


WRITE = Call("write_file", {"path": "a.txt", "text": "hello"})


REACT = ("--technique", "react")


def tools_of(folder: Path) -> tuple[str, ...]:
    return (
        *("--tools", "files", "--option", f"files.folder={folder}"),
        *("--option", "files.write=true"),
    )


def test_without_a_terminal_consent_is_refused_and_said(cli, served, tmp_path):
    lm = served([Reply("I write.", calls=(WRITE,)), "I could not."])
    done = cli("ask", *tools_of(tmp_path), "write")
    assert done.code == 0
    assert done.out == "I write.\n\nI could not.\n"
    assert "no terminal to ask for consent" in done.err
    results = [p for m in lm.requests[1].prompt for p in m.parts if isinstance(p, ToolResultPart)]
    assert "no terminal" in results[0].content
    assert list(tmp_path.iterdir()) == []


def test_approve_always_asks_nobody(cli, served, tmp_path):
    served([Reply(calls=(WRITE,)), "Written."])
    done = cli("ask", *tools_of(tmp_path), "--approve", "always", "write")
    assert (done.code, done.out) == (0, "Written.\n")
    assert (tmp_path / "a.txt").read_text() == "hello"


def test_approve_never_runs_nothing(cli, served, tmp_path, monkeypatch):
    monkeypatch.setattr(consent, "ask_person", lambda *_: True)
    served([Reply(calls=(WRITE,)), "Not written."])
    done = cli("ask", *tools_of(tmp_path), "--approve", "never", "write")
    assert (done.code, done.out) == (0, "Not written.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("said", "is_written"), [(b"maybe\ny\n", True), (b"n\n", False)])
def test_at_a_terminal_the_person_is_asked(served, tmp_path, monkeypatch, said, is_written, cli):
    lm = served([Reply(calls=(WRITE,)), "So it is."])
    monkeypatch.setattr("kataribe.cli.given.piped_text", lambda: "")
    monkeypatch.setattr("kataribe.cli.consent._is_terminal", lambda: True)
    done = cli("ask", *tools_of(tmp_path), "write", given=said)
    assert done.code == 0
    assert "The model wants to use write_file" in done.err
    assert (tmp_path / "a.txt").exists() == is_written
    results = [p for m in lm.requests[1].prompt for p in m.parts if isinstance(p, ToolResultPart)]
    assert ("does not want" in results[0].content) != is_written


def test_a_model_that_calls_no_tools_acts_in_plain_text(cli, kataribe_home):
    able = Capabilities(4096)
    lines = [
        "Thought: I compute.\nAction: calculator\nAction Input: 6*7\n",
        "Thought: I know.\nFinal Answer: 42",
    ]
    lm = ScriptedLM(lines, name="smollm2-135m", capabilities=able)
    with (
        serving(ScriptedSource(lm)) as url,
        leave_note(Workspace(kataribe_home), url),
    ):
        done = cli("ask", "--tools", "calculator", "6 times 7?")
    assert (done.code, done.out) == (0, "42\n"), done.err
    assert "acts in plain text" in done.err
    assert ": 42" in done.err


@pytest.mark.parametrize("does_call", [True, False])
def test_a_turn_longer_than_the_context_is_summed_up(cli, kataribe_home, does_call):
    """The model is behind a server, which only says that a prompt is too long."""
    numbers = iter(range(1000))

    def script(request: Request) -> str | Reply:
        if text_of(request.prompt[0]).startswith("Sum up"):
            return "Looked at much."
        at = next(numbers)
        if at >= 12:
            return "Thought: done.\nFinal Answer: All seen."
        if does_call:
            call = Call("calculator", {"expression": f"6 * {at}"})
            return Reply("x" * 800, calls=(call,))
        return f"Thought: {'x' * 800}\nAction: calculator\nAction Input: 6 * {at}"

    able = Capabilities(8000, tools=does_call)
    lm = ScriptedLM(script, name="smollm2-135m", capabilities=able)
    with serving(ScriptedSource(lm)) as url, leave_note(Workspace(kataribe_home), url):
        react = ("--option", "most_steps=20", "--technique", "react")
        way = () if does_call else react
        done = cli("ask", "--tools", "calculator", *way, "Look.")
    assert done.code == 0, done.err
    assert done.out.rstrip().endswith("All seen.")
    assert "compacted: " in done.err


@pytest.mark.parametrize("approve", ["ask", "never"])
@pytest.mark.parametrize(("does_call", "way"), [(True, REACT), (False, REACT), (False, ())])
def test_in_plain_text_consent_is_needed_too(cli, kataribe_home, tmp_path, does_call, way, approve):
    given = json.dumps({"path": "a.txt", "text": "x"})
    lines = [
        f"Thought: I write.\nAction: write_file\nAction Input: {given}\n",
        "Final Answer: no",
    ]
    able = Capabilities(4096, tools=does_call)
    lm = ScriptedLM(lines, name="smollm2-135m", capabilities=able)
    with serving(ScriptedSource(lm)) as url, leave_note(Workspace(kataribe_home), url):
        done = cli("ask", *way, *tools_of(tmp_path), "--approve", approve, "write")
    if approve == "never" and way:
        assert (done.code, "none of these may ever run" in done.err) == (2, True), done.err
    else:
        assert done.code == 0, done.err
        assert ("no terminal to ask" in done.err) == (approve == "ask")
    assert not (tmp_path / "a.txt").exists()


@pytest.mark.parametrize("way", [(), REACT])
def test_a_limit_of_steps_is_the_model_s_in_plain_text_too(cli, kataribe_home, way):
    def script(request: Request) -> str:
        if "No tool can be called" in text_of(request.prompt[-1]):
            return "Final Answer: So far."
        return f"Action: calculator\nAction Input: 6 * {next(numbers)}"

    numbers = iter(range(100))
    lm = ScriptedLM(script, name="smollm2-135m", capabilities=Capabilities(100_000))
    with serving(ScriptedSource(lm)) as url, leave_note(Workspace(kataribe_home), url):
        done = cli("ask", "--tools", "calculator", *way, "--steps", "12", "?")
    assert done.code == 0, done.err
    assert done.err.count("in text: ") == (not way)
    # The call in which the server refuses tools is one of the 12; then what was found is the end.
    assert ("So far." in done.out) == bool(way)
    assert len([request for request in lm.requests if not request.tools]) == 12 - (not way)


def test_a_limit_ends_it_with_what_was_found(cli, served):
    lm = served(["One. Answer: 5", "Two. Answer: 6", "Three. Answer: 6"])
    done = cli(
        *("ask", "--technique", "self-consistency", "--option", "paths=3"),
        *("--option", "at_once=1", "--steps", "2", "2+3?"),
    )
    assert done.code == 0, done.err
    assert "(ended by budget" in done.err
    assert len(lm.requests) == 2


def test_money_needs_a_known_price(cli, served):
    served("x", name="translator")
    done = cli("ask", "--model", "translator", "--money", "0.5", "hi")
    assert done.code == 2
    assert "Nobody knows the price of translator" in done.err


def test_models_here_cost_nothing(cli, served):
    served("free")
    assert cli("ask", "--money", "0.5", "hi").out == "free\n"


def test_chat_takes_the_same(cli, served):
    lm = served([SUM, "It is 42.", "Yes."])
    done = cli("chat", "--plain", "--tools", "calculator", given=b"6 times 7?\nSure?\n")
    assert done.code == 0, done.err
    assert done.out == "It is 42.\nYes.\n"
    assert [text_of(m) for m in lm.requests[2].prompt] == ["6 times 7?", "It is 42.", "Sure?"]
    assert cli("chat", "--technique", "nonsense").code == 3


def test_nobody_is_asked_where_standard_input_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert consent.decide(consent.ask_person, "files", "{}") == (False, consent.NO_TERMINAL)


async def test_what_was_used_counts_where_the_model_has_a_meter_too():
    inner = Meters()
    lm = inner.lm(ScriptedLM(["I know.", "Answer."]), lambda usage: 0.001 * usage.completion_tokens)
    way = way_of(Flags("generated-knowledge", ["statements=1"]))
    with asked(way, lm, lambda _: None) as whom:
        end = await reply(whom.lm, Request((text_message("user", "?"),)))
    assert whom.spent.steps == 2
    assert whom.spent.completion_tokens == end.usage.completion_tokens == len("I know.Answer.")
    assert whom.spent.dollars == pytest.approx(0.014)
    assert whom.spent.unpriced == 0
