"""`kataribe agent`: runs that are begun, listed, stopped and gone on with."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from kataribe.base.lm import Capabilities, Request
from kataribe.base.messages import text_of
from kataribe.base.workspace import Workspace
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from tests.cli.conftest import ScriptedSource, leave_note, serving, wait_for

PLAN = json.dumps({"tasks": [{"title": t, "done_when": "it is there"} for t in ("one", "two")]})
OK = '{"ok": true, "why": "right"}'
WHOLE = [PLAN, "first", OK, "second", OK, "The deliverable."]


def only_run(home: Path) -> str:
    (file,) = Workspace(home).agents.glob("*.jsonl")
    return file.stem


def test_a_goal_is_worked_on_and_delivered(cli, served, kataribe_home):
    lm = served(WHOLE)
    done = cli("agent", "Report", "on", "it.")
    assert (done.code, done.out) == (0, "The deliverable.\n"), done.err
    for line in ("plan: 1. one", "plan: 2. two", "task: 1 of 2: one", "checked: 1 is done: right"):
        assert line in done.err
    run = only_run(kataribe_home)
    assert f"run: {run}" in done.err
    assert len(lm.requests) == 6
    rows = [line.split("\t") for line in cli("agent", "list").out.splitlines()]
    assert [row[:3] for row in rows] == [[run, "done", "2 of 2 tasks"]]
    assert rows[0][4] == "Report on it."


def test_the_result_and_its_log_go_to_files(cli, served, tmp_path):
    served(WHOLE)
    done = cli("agent", "run", "--out", str(tmp_path / "report.md"), "--quiet", "Report.")
    assert (done.code, done.out, done.err.count("\n")) == (0, f"{tmp_path / 'report.md'}\n", 1)
    assert (tmp_path / "report.md").read_text() == "The deliverable.\n"
    log = (tmp_path / "report.md.log").read_text().splitlines()
    assert log[:2] == ["list: 1. one", "list: 2. two"]
    assert log[-1].startswith("end: stop")


def test_json_tells_all(cli, served):
    served(WHOLE)
    done = cli("agent", "--json", "Report.")
    told = json.loads(done.out)
    assert (told["text"], told["finish_reason"], told["state"]) == (
        "The deliverable.",
        "stop",
        "done",
    )
    assert [task["result"] for task in told["tasks"]] == ["first", "second"]
    assert (told["model_calls"], told["cost_usd"]) == (6, 0.0)


def test_a_limit_ends_it_with_what_was_found_and_it_goes_on(cli, served, kataribe_home):
    served(WHOLE)
    done = cli("agent", "--steps", "3", "Report.")
    assert done.code == 0
    assert done.out == "one\nfirst\n"
    assert "All of 3 steps are used" in done.err
    run = only_run(kataribe_home)
    assert f"kataribe agent --resume {run}" in done.err
    assert "ended by budget" in cli("agent", "list").out
    shown = cli("agent", "show", run[:4])
    assert "list: 1. one" in shown.err
    assert shown.out == "one\nfirst\n"
    again = cli("agent", "--resume", run)
    assert (again.code, again.out) == (0, "The deliverable.\n"), again.err
    assert "task: 1" not in again.err  # what is done is not done again
    assert json.loads(cli("agent", "show", run, "--json").out)["steps"] == 6


def test_a_model_without_calls_of_tools_works_too(cli, kataribe_home):
    act = "Thought: compute.\nAction: calculator\nAction Input: 6*7\n"
    script = [PLAN, act, "Final Answer: 42", OK, "Final Answer: 43", OK, "The deliverable."]
    able = Capabilities(100_000, structured_output=True)
    lm = ScriptedLM(script, name="smollm2-135m", capabilities=able)
    with serving(ScriptedSource(lm)) as url, leave_note(Workspace(kataribe_home), url):
        done = cli("agent", "--tools", "calculator", "Report.")
    assert (done.code, done.out) == (0, "The deliverable.\n"), done.err
    assert "result: calculator: 42" in done.err
    told = json.loads(cli("agent", "show", only_run(kataribe_home), "--json").out)
    assert [task["result"] for task in told["tasks"]] == ["42", "43"]


def test_a_deliverable_that_says_nothing_is_what_was_found(cli, served):
    served([PLAN, "first", OK, "second", OK, Reply("")])
    done = cli("agent", "Report.")
    assert (done.code, done.out.rstrip()) == (0, "one\nfirst\n\ntwo\nsecond"), done.err
    assert "what the tasks gave stands instead" in done.err


def test_an_attempt_longer_than_the_context_is_summed_up(cli, kataribe_home):
    numbers = iter(range(1000))

    def script(request: Request) -> str | Reply:
        first, last = text_of(request.prompt[0]), text_of(request.prompt[-1])
        if first.startswith("Sum up"):
            return "Looked at much."
        if "split it into the fewest tasks" in last:
            return json.dumps({"tasks": [{"title": "one", "done_when": "it is there"}]})
        if "Is the task done?" in last:
            return OK
        if "Now write what the goal asks" in " ".join(last.split()):
            return "The deliverable."
        at = next(numbers)
        call = Call("calculator", {"expression": f"6 * {at}"})
        return Reply("x" * 800, calls=(call,)) if at < 12 else "All seen."

    able = Capabilities(8000, tools=True, structured_output=True)
    lm = ScriptedLM(script, name="smollm2-135m", capabilities=able)
    with serving(ScriptedSource(lm)) as url, leave_note(Workspace(kataribe_home), url):
        done = cli("agent", "--tools", "calculator", "Report.")
    assert (done.code, done.out) == (0, "The deliverable.\n"), done.err
    assert "compacted: " in done.err


def test_ctrl_c_stops_it_with_what_was_found(cli, served, kataribe_home):
    lm = served([PLAN, "first", OK, Reply("second", delay=30.0), "second", OK, "All."])

    def press() -> None:
        wait_for(lambda: len(lm.requests) == 4)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    done = cli("agent", "Report.")
    thread.join()
    assert done.code == 130
    assert done.out == "one\nfirst\n"
    run = only_run(kataribe_home)
    assert f"kataribe agent --resume {run}" in done.err
    assert "unfinished" in cli("agent", "list").out
    assert cli("agent", "--resume", run).out == "All.\n"


def test_tools_are_used_and_consent_is_asked_for(cli, served, tmp_path):
    write = Call("write_file", {"path": "a.txt", "text": "hello"})
    script = [PLAN, Reply(calls=(write,)), "first", OK, "second", OK, "All."]
    served(script)
    files = ("--tools", "files", "--option", f"files.folder={tmp_path}")
    done = cli("agent", *files, "--option", "files.write=true", "Report.")
    assert (done.code, done.out) == (0, "All.\n"), done.err
    assert "no terminal to ask for consent" in done.err
    assert list(tmp_path.iterdir()) == []


def test_with_consent_beforehand_it_is_not_asked_for(cli, served, tmp_path):
    write = Call("write_file", {"path": "a.txt", "text": "hello"})
    served([PLAN, Reply(calls=(write,)), "first", OK, "second", OK, "All."])
    files = ("--tools", "files", "--option", f"files.folder={tmp_path}")
    done = cli(
        *("agent", *files, "--option", "files.write=true", "--approve", "always", "Report."),
    )
    assert (done.code, done.out) == (0, "All.\n"), done.err
    assert (tmp_path / "a.txt").read_text() == "hello"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("run",), 2, "There is no goal"),
        (("  ",), 2, "There is no goal"),
        (("--steps", "0", "x"), 2, "--steps is 0"),
        (("--minutes", "0", "x"), 2, "--minutes is 0"),
        (("--tokens", "-1", "x"), 2, "--tokens is -1"),
        (("--money", "0", "x"), 2, "--money is 0"),
        (("--tasks", "0", "x"), 2, "--tasks is 0"),
        (("--tools", "clok", "x"), 3, "Did you mean clock"),
        (("--out", "/nowhere/at/all.md", "x"), 2, "/nowhere/at/all.md"),
        (("--resume", "abc"), 3, "There is no run 'abc'"),
        (("--resume", "abc", "a goal"), 2, "Leave out the words"),
        (("--money", "1", "--model", "translator", "x"), 2, "Nobody knows the price"),
        (("show", "abc"), 3, "There is no run"),
    ],
)
def test_bad_input_is_refused_before_anything_is_begun(
    cli, served, kataribe_home, words, code, told
):
    lm = served("x")
    done = cli("agent", *words)
    assert done.code == code, done.err
    assert told in done.err
    assert (done.out, lm.requests) == ("", [])
    assert not list(Workspace(kataribe_home).root.glob("agents/*.jsonl"))


def test_a_run_is_removed(cli, served, kataribe_home):
    served(WHOLE)
    cli("agent", "Report.")
    run = only_run(kataribe_home)
    assert cli("agent", "rm", run, "--yes").code == 0
    assert cli("agent", "list").out == ""
    assert cli("agent", "show", run).code == 3
