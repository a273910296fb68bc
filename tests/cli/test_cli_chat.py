"""`kataribe chat`: turns, commands, a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from kataribe.base.errors import UnavailableError
from kataribe.base.messages import text_of
from kataribe.run.providers.scripted import Reply


def said(lm, turn: int) -> list[str]:
    return [f"{message.role}: {text_of(message)}" for message in lm.requests[turn].prompt]


def test_each_turn_carries_those_before_it(cli, served):
    lm = served(["First.", "Second."])
    done = cli("chat", "-s", "Be kind.", given="one\ntwo 二\n".encode())
    assert (done.code, done.out, done.err) == (0, "First.\nSecond.\n", "")
    assert said(lm, 1) == [
        "system: Be kind.",
        "user: one",
        "assistant: First.",
        "user: two 二",
    ]


def test_a_fence_holds_several_lines(cli, served):
    lm = served(["ok", "ok"])
    cli("chat", given=b'"""\na\n/clear\n\nb\n"""\nnext\n')
    assert said(lm, 0) == ["user: a\n/clear\n\nb"]
    assert said(lm, 1)[-1] == "user: next"


def test_an_open_fence_ends_with_the_input(cli, served):
    lm = served("ok")
    assert cli("chat", given=b'"""\na').code == 0
    assert said(lm, 0) == ["user: a"]


def test_commands(cli, served, tmp_path):
    lm = served(["1", "2", "3", "4"])
    target = tmp_path / "talk.jsonl"
    typed = [
        "a",
        "/system Speak Latin.",
        "b",
        "/retry",
        "/history",
        f"/save {target}",
        "/clear",
        "//etc is a path",
        "/help",
        "/exit",
        "never sent",
    ]
    done = cli("chat", given="\n".join(typed).encode())
    assert done.code == 0
    assert said(lm, 1)[0] == "system: Speak Latin."
    assert said(lm, 2) == said(lm, 1), "retry asks the same again"
    assert "[assistant] 3" in done.out
    assert "[assistant] 2" not in done.out
    saved = [json.loads(line) for line in target.read_text().splitlines()]
    assert [line["role"] for line in saved] == ["system", "user", "assistant", "user", "assistant"]
    assert said(lm, 3) == ["system: Speak Latin.", "user: /etc is a path"]
    assert "/retry" in done.err
    assert len(lm.requests) == 4


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [("/dance", "/dance is no command"), ("/retry", "Nothing was said"), ("/save", "/save FILE")],
)
def test_a_wrong_command_ends_a_script_and_says_why(cli, served, typed, complaint):
    served("ok")
    done = cli("chat", given=typed.encode())
    assert done.code == 2
    assert complaint in done.err


def test_invalid_bytes_in_a_pipe_are_refused(cli, served):
    lm = served("ok")
    done = cli("chat", given=b"fine\n\xff\n")
    assert done.code == 2
    assert "0xff" in done.err
    assert len(lm.requests) == 1


def test_a_failed_turn_is_taken_back(cli, served):
    lm = served([Reply(error=UnavailableError("Not now.")), "ok"])
    done = cli("chat", given=b"lost\nnext\n")
    assert done.code == 4
    assert "Not now." in done.err
    assert len(lm.requests) == 1, "a script's input ends at the first error"


def test_another_model_takes_over(cli, served):
    lm = served("I am other.", name="other")
    done = cli("chat", given=b"/model other\nwho are you?\n")
    assert (done.code, done.out) == (0, "I am other.\n")
    assert said(lm, 0) == ["user: who are you?"]


class Terminal:
    """A `kataribe chat` at a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kataribe", "chat", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
        )
        os.close(slave)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str) -> None:
        """Reads on until `text` has come; what came up to its end counts as seen."""
        until = time.monotonic() + 30
        while text not in self.seen:
            assert time.monotonic() < until, f"no {text!r} in {self.seen!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]


@pytest.fixture
def terminal():
    opened: list[Terminal] = []

    def open_terminal(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield open_terminal
    for each in opened:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


def test_a_paste_of_several_lines_is_one_message(served, terminal):
    lm = served("Thank you.")
    screen = terminal()
    screen.expect("> ")
    screen.type("\x1b[200~line one\nline two\x1b[201~\r")
    screen.expect("Thank you.")
    screen.expect("> ")
    screen.type("\x04")
    assert screen.process.wait(20) == 0
    assert said(lm, 0) == ["user: line one\nline two"]


def test_ctrl_c_stops_the_reply_and_the_chat_goes_on(served, terminal):
    lm = served([Reply("one two three four five six " * 10, pace=0.4), "And on."])
    screen = terminal()
    screen.expect("> ")
    screen.type("count\r")
    screen.expect("one two")
    os.killpg(screen.process.pid, signal.SIGINT)
    screen.expect("(stopped)")
    screen.expect("> ")
    screen.type("more\r")
    screen.expect("And on.")
    screen.expect("> ")
    screen.type("/exit\r")
    assert screen.process.wait(20) == 0
    assert said(lm, 1)[1].startswith("assistant: one two")
    assert said(lm, 1)[2] == "user: more"
    assert lm.running == 0


def test_a_wrong_command_at_a_terminal_only_says_so(served, terminal):
    served("Fine.")
    screen = terminal()
    screen.expect("> ")
    screen.type("/dance\r")
    screen.expect("/dance is no command")
    screen.expect("> ")
    screen.type("hello\r")
    screen.expect("Fine.")


def test_a_model_cannot_steer_the_terminal(served, terminal):
    served("a\x1b]0;owned\x07b\x1b[2Jc\x9bd")
    screen = terminal("--plain")
    screen.type("hello\r")
    screen.expect("a]0;ownedb[2Jcd")
