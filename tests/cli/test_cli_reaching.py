"""`--tools mcp:SERVER`: tools of MCP servers at a command, whose servers end with it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import UnavailableError
from kataribe.base.lm import Capabilities, Request
from kataribe.base.messages import ToolResultPart, text_of
from kataribe.base.workspace import Workspace
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from tests.cli.conftest import ScriptedSource, leave_note, serving, wait_for

FOLDER = Path(__file__).parents[1] / "use" / "agents" / "mcp"
SDK = [sys.executable, str(FOLDER / "server_for_tests.py")]
RAW = [sys.executable, str(FOLDER / "raw_server_for_tests.py")]
SUM = Reply(calls=(Call("t__add", {"a": 2, "b": 40}),))
ALWAYS = ("--approve", "always")


class Written:
    """Servers in the workspace's file, and the processes that they have been."""

    def __init__(self, home: Path) -> None:
        self.path = home / "mcp.json"
        self.started = home / "started"
        self.write(t=SDK)

    def write(self, **programs: list[str]) -> None:
        entries = {name: self._entry(program) for name, program in programs.items()}
        self.path.write_text(json.dumps({"mcpServers": entries}))

    def _entry(self, program: list[str]) -> dict[str, Any]:
        line = f"echo $$ >> {shlex.quote(str(self.started))}; exec {shlex.join(program)}"
        return {"command": "/bin/sh", "args": ["-c", line]}

    @property
    def pids(self) -> list[int]:
        return [int(line) for line in self.started.read_text().split()]

    def have_ended(self) -> bool:
        """Soon: a thread of asyncio's collects those that were killed."""
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in self.pids))
        return True


@pytest.fixture
def written(kataribe_home: Path) -> Written:
    return Written(kataribe_home)


def results(lm: ScriptedLM) -> list[str]:
    parts = [part for message in lm.requests[-1].prompt for part in message.parts]
    return [part.content for part in parts if isinstance(part, ToolResultPart)]


def test_a_server_s_tools_are_used_beside_others(cli, served, written):
    lm = served([SUM, "It is 42."])
    done = cli("ask", "--tools", "mcp:t,clock", *ALWAYS, "2 and 40?")
    assert (done.code, done.out) == (0, "It is 42.\n"), done.err
    assert {"t__add", "t__count", "current_time"} < {tool.name for tool in lm.requests[0].tools}
    assert results(lm) == ["42"]
    assert len(written.pids) == 1
    assert written.have_ended()


def test_one_tool_of_a_server_and_what_all_used_as_json(cli, served, written):
    lm = served([SUM, "It is 42."])
    done = cli("ask", "--json", "--tools", "mcp:t/add", *ALWAYS, "?")
    told = json.loads(done.out)
    assert (told["text"], told["model_calls"]) == ("It is 42.", 2)
    assert [tool.name for tool in lm.requests[0].tools] == ["t__add"]


def test_consent_is_needed_as_for_other_tools(cli, served, written, monkeypatch):
    counts = Reply(calls=(Call("t__count", {}),))
    lm = served([SUM, "I may not.", SUM, counts, "Both."])
    done = cli("ask", "--tools", "mcp:t", "?")
    assert (done.code, done.out) == (0, "I may not.\n"), done.err
    assert "no terminal to ask for consent" in done.err
    assert "no terminal" in results(lm)[0]
    monkeypatch.setattr("kataribe.cli.given.piped_text", lambda: "")
    monkeypatch.setattr("kataribe.cli.consent._is_terminal", lambda: True)
    done = cli("ask", "--tools", "mcp:t", "?", given=b"y\nn\n")
    assert (done.code, done.out) == (0, "Both.\n"), done.err
    assert results(lm)[0] == "42"
    assert "does not want" in results(lm)[1]
    assert len(written.pids) == 2  # one for each command: the turns that wait share a session
    assert written.have_ended()


def test_never_shows_the_model_none_of_them(cli, served, written):
    lm = served("No tools.")
    done = cli("ask", "--tools", "mcp:t", "--approve", "never", "?")
    assert (done.code, done.out) == (0, "No tools.\n"), done.err
    assert list(lm.requests[0].tools) == []


@pytest.mark.parametrize(
    ("command", "words", "code", "told"),
    [
        ("ask", ("--tools", "mcp:tt"), 3, "Did you mean t?"),
        ("agent", ("--tools", "mcp:tt/add"), 3, "Did you mean t?"),
        ("ask", ("--tools", "mcp:t", "--option", "mcp:t.a=1"), 2, "mcp:t has no options"),
        ("ask", ("--tools", "clock", "--option", "mcp:t.a=1"), 2, "not among --tools"),
        ("ask", ("--tools", "mcp:t", "--technique", "chaining"), 2, "take react"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(
    cli, served, written, command, words, code, told
):
    lm = served("x")
    done = cli(command, *words, "hi")
    assert (done.code, told in done.err) == (code, True), done.err
    assert (done.out, lm.requests, written.started.exists()) == ("", [], False)


@pytest.mark.parametrize("command", ["ask", "agent"])
def test_a_tool_that_its_server_does_not_have_is_an_error(cli, served, written, command):
    lm = served("x")
    done = cli(command, "--tools", "mcp:t/ad", *ALWAYS, "hi")
    assert (done.code, "has no tool 'ad'. Did you mean add" in done.err) == (3, True), done.err
    assert lm.requests == []
    assert written.have_ended()


def test_a_file_that_cannot_be_read_is_said(cli, served, written):
    lm = served("x")
    written.path.write_text("{")
    done = cli("ask", "--tools", "mcp:t", "hi")
    assert (done.code, "is no JSON" in done.err) == (1, True), done.err
    assert (written.path.read_text(), lm.requests) == ("{", [])


@pytest.mark.parametrize("more", [(), ("--technique", "react")])
def test_the_reply_goes_on_without_a_server_that_cannot_be_used(cli, served, written, more):
    served("Without it.")
    written.write(t=[*RAW, "exit"])
    done = cli("ask", "--tools", "mcp:t", *more, "hi")
    assert (done.code, done.out) == (0, "Without it.\n"), done.err
    assert "mcp: The MCP server 't' cannot be used" in done.err
    assert "goes on without its tools" in done.err


def test_a_model_that_calls_no_tools_acts_with_them_in_plain_text(cli, kataribe_home, written):
    given = json.dumps({"a": 2, "b": 40})
    lines = [
        f"Thought: I add.\nAction: t__add\nAction Input: {given}\n",
        "Thought: I know.\nFinal Answer: 42",
    ]
    lm = ScriptedLM(lines, name="smollm2-135m", capabilities=Capabilities(4096))
    with serving(ScriptedSource(lm)) as url, leave_note(Workspace(kataribe_home), url):
        done = cli("ask", "--tools", "mcp:t", *ALWAYS, "?")
    assert (done.code, done.out) == (0, "42\n"), done.err
    assert ": 42" in done.err


def test_a_chat_opens_them_for_each_reply(cli, served, written):
    lm = served([SUM, "It is 42.", "Yes."])
    done = cli("chat", "--plain", "--tools", "mcp:t", *ALWAYS, given=b"?\nSure?\n")
    assert (done.code, done.out) == (0, "It is 42.\nYes.\n"), done.err
    assert [text_of(each) for each in lm.requests[2].prompt] == ["?", "It is 42.", "Sure?"]
    assert len(written.pids) == 2
    assert written.have_ended()


def test_a_long_chat_is_summed_up_once(cli, kataribe_home, written):
    def script(request: Request) -> str:
        return "Summary." if "Sum up" in text_of(request.prompt[0]) else "Yes."

    lm = ScriptedLM(script, name="smollm2-135m", capabilities=Capabilities(6000, tools=True))
    said = "\n".join(f"Tell me of {name} {'x' * 1200}" for name in ("ALPHA", *"bcdefgh"))
    with serving(ScriptedSource(lm)) as url, leave_note(Workspace(kataribe_home), url):
        done = cli("chat", "--plain", "--tools", "mcp:t", *ALWAYS, given=f"{said}\n".encode())
    assert (done.code, done.out) == (0, "Yes.\n" * 8), done.err
    sums = ["Sum up" in text_of(request.prompt[0]) for request in lm.requests]
    first = sums.index(True)
    answered = sums.index(False, first)
    assert True in sums[answered:]
    for request in lm.requests[answered:]:
        assert "ALPHA x" not in "".join(text_of(message) for message in request.prompt)


def test_the_servers_end_where_the_model_fails(cli, served, written):
    served([SUM, Reply(error=UnavailableError("The model is gone."))])
    done = cli("ask", "--tools", "mcp:t", *ALWAYS, "?")
    assert (done.code != 0, "The model is gone" in done.err) == (True, True), done.err
    assert len(written.pids) == 1
    assert written.have_ended()


def test_a_limit_ends_a_tool_that_hangs_and_its_server(cli, served, written):
    served([Reply(calls=(Call("t__hang", {"seconds": 300.0}),)), "x"])
    done = cli("ask", "--tools", "mcp:t", *ALWAYS, "--seconds", "8", "?")
    assert done.code == 0, done.err
    assert "(ended by deadline" in done.err
    assert written.have_ended()


def pressed_when(condition: Any) -> threading.Thread:
    """Presses Ctrl-C when something holds."""

    def press() -> None:
        wait_for(condition)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_ctrl_c_ends_the_servers_too(cli, served, written):
    lm = served([SUM, Reply("Never.", delay=300.0)])
    thread = pressed_when(lambda: len(lm.requests) == 2)
    done = cli("ask", "--tools", "mcp:t", *ALWAYS, "?")
    thread.join()
    assert (done.code, done.out) == (130, ""), done.err
    assert results(lm) == ["42"]
    assert written.have_ended()


@pytest.mark.parametrize("command", ["ask", "agent"])
def test_ctrl_c_ends_a_server_that_hangs_while_it_starts(cli, served, written, command):
    lm = served("x")
    written.write(t=[*RAW, "silent"])
    thread = pressed_when(lambda: written.started.exists() and bool(written.pids))
    done = cli(command, "--tools", "mcp:t", "hi")
    thread.join()
    assert (done.code, lm.requests) == (130, []), done.err
    assert written.have_ended()


PLAN = json.dumps({"tasks": [{"title": "one", "done_when": "it is there"}]})
OK = '{"ok": true, "why": "right"}'


def test_an_agent_works_with_them(cli, served, written):
    lm = served([PLAN, SUM, "42", OK, "The deliverable."])
    done = cli("agent", "--tools", "mcp:t", *ALWAYS, "Add.")
    assert (done.code, done.out) == (0, "The deliverable.\n"), done.err
    assert "result: t__add: 42" in done.err
    assert any(tool.name == "t__add" for request in lm.requests for tool in request.tools)
    assert len(written.pids) == 1
    assert written.have_ended()


def test_an_agent_s_run_is_gone_on_with_and_its_servers_begin_anew(
    cli, served, written, kataribe_home
):
    served([PLAN, Reply(calls=(Call("t__count", {}),)), "1", OK, "All."])
    begun = cli("agent", "--tools", "mcp:t", *ALWAYS, "--steps", "1", "Count.")
    assert begun.code == 0, begun.err
    (file,) = Workspace(kataribe_home).agents.glob("*.jsonl")
    done = cli("agent", "--resume", file.stem, "--tools", "mcp:t", *ALWAYS)
    assert (done.code, done.out) == (0, "All.\n"), done.err
    assert "result: t__count: 1" in done.err
    assert len(written.pids) == 2
    assert written.have_ended()


def test_an_agent_asks_for_consent(cli, served, written):
    served([PLAN, SUM, "no sum", OK, "All."])
    done = cli("agent", "--tools", "mcp:t", "Add.")
    assert (done.code, done.out) == (0, "All.\n"), done.err
    assert "no terminal to ask for consent" in done.err
    assert written.have_ended()
