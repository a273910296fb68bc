"""`kataribe ask` against the running server of the workspace."""

from __future__ import annotations

import json

import pytest

from kataribe.base.errors import BusyError, ContextLengthError, UnavailableError
from kataribe.base.messages import text_of
from kataribe.run.providers.scripted import Reply


def said(lm, turn: int = 0) -> list[tuple[str, str]]:
    return [(message.role, text_of(message)) for message in lm.requests[turn].prompt]


def test_the_reply_and_nothing_else_goes_to_standard_output(cli, served):
    lm = served("Tokyo is the capital. 東京です。")
    done = cli("ask", "What", "is", "it?")
    assert (done.code, done.out, done.err) == (0, "Tokyo is the capital. 東京です。\n", "")
    assert said(lm) == [("user", "What is it?")]


def test_piped_text_goes_below_the_question(cli, served):
    lm = served("Short.")
    assert cli("ask", "summarise", given="\ufeffa long\ntext 語\n".encode()).code == 0
    assert said(lm) == [("user", "summarise\n\na long\ntext 語\n")]


def test_piped_text_alone_is_the_question(cli, served):
    lm = served("Yes.")
    assert cli("ask", given=b"is it so?").code == 0
    assert said(lm) == [("user", "is it so?")]


def test_options_reach_the_model(cli, served):
    lm = served("Yes.", name="other")
    done = cli(
        *("ask", "-m", "other", "-s", "Be brief.", "-t", "0.5", "--top-p", "0.9"),
        *("-n", "77", "--seed", "5", "--stop", "A", "--stop", "B", "go"),
    )
    assert done.code == 0
    request = lm.requests[0]
    assert said(lm) == [("system", "Be brief."), ("user", "go")]
    assert (request.sampling.temperature, request.sampling.top_p) == (0.5, 0.9)
    assert (request.sampling.max_tokens, request.seed, request.stop) == (77, 5, ("A", "B"))


def test_json_is_one_document(cli, served):
    served("Hello there.")
    done = cli("ask", "--json", "hi")
    assert done.code == 0
    assert json.loads(done.out) == {
        "model": "smollm2-135m",
        "text": "Hello there.",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 3, "cached_tokens": 0, "completion_tokens": 12},
    }


def test_a_cut_reply_says_so(cli, served):
    served("one two three four")
    done = cli("ask", "-n", "7", "count")
    assert (done.code, done.out) == (0, "one two\n")
    assert "cut after 7 tokens" in done.err
    assert json.loads(cli("ask", "-n", "7", "--json", "count").out)["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("arguments", "given", "complaint"),
    [
        ((), b"", "Nothing was asked"),
        (("  ",), b" \n", "Nothing was asked"),
        ((), None, "Nothing was asked"),
        (("go",), b"ok \xff", "0xff at 3"),
        (("go",), "日本語".encode("shift_jis"), "iconv -f SHIFT_JIS"),
        (("go",), b"\xed\xa0\x80", "not UTF-8"),
        (("go \udcff",), b"", "The question is not valid text"),
        (("go", "-s", "\ud800"), b"", "The system text is not valid text"),
        (("go", "--stop", "\ud800"), b"", "The stop text is not valid text"),
        (("go", "-t", "9"), b"", "temperature is 9"),
        (("go", "-n", "0"), b"", "max_tokens is 0"),
    ],
)
def test_what_was_asked_wrongly_is_one_line_and_code_2(cli, arguments, given, complaint):
    done = cli("ask", *arguments, given=given)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("kataribe: ")
    assert done.err.count("\n") == 1
    assert complaint in done.err


def test_too_long_a_pipe_is_refused(cli, monkeypatch):
    monkeypatch.setattr("kataribe.cli.given.MOST_PIPED", 1000)
    done = cli("ask", "go", given=b"x" * 1001)
    assert done.code == 2
    assert "longer than" in done.err


def test_an_unknown_option_is_a_usage_error(cli):
    done = cli("ask", "--temprature", "1", "hi")
    assert done.code == 2
    assert "--temprature" in done.err


@pytest.mark.parametrize(
    ("error", "code", "complaint"),
    [
        (ContextLengthError(9000, 8192), 2, "9000 tokens, but the context holds 8192"),
        (BusyError("The queue is full.", retry_after=3), 4, "The queue is full."),
        (UnavailableError("Loading."), 4, "Loading."),
        (RuntimeError("boom"), 1, "kataribe: "),
    ],
)
def test_errors_of_the_server_become_exit_codes(cli, served, error, code, complaint):
    served(Reply(error=error))
    done = cli("ask", "hi")
    assert done.code == code
    assert complaint in done.err
    assert done.out == ""


def test_an_error_in_the_middle_keeps_what_was_said(cli, served):
    served(Reply("one two three", error=UnavailableError("It broke off."), fail_after=2))
    done = cli("ask", "hi")
    assert done.code != 0
    assert done.out == "one two\n"
    assert "It broke off." in done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnavailableError("It broke off."), 4),
        (BusyError("Too many.", retry_after=3), 4),
        (ContextLengthError(9000, 8192), 2),
        (RuntimeError("boom"), 1),
    ],
)
def test_an_error_in_the_middle_has_its_own_exit_code(cli, served, error, code):
    served(Reply("one two three", error=error, fail_after=2))
    assert cli("ask", "hi").code == code


@pytest.mark.parametrize("reason", ["deadline", "cancelled"])
def test_an_ending_that_is_no_cut_is_not_called_one(cli, served, reason):
    served(Reply("one two", reason=reason))
    done = cli("ask", "hi")
    assert f"(ended by {reason}" in done.err
    assert "--max-tokens" not in done.err


def test_an_unknown_model_is_code_3(cli, served):
    served("hi")
    done = cli("ask", "-m", "nobody", "hi")
    assert done.code == 3
    assert "nobody" in done.err


def test_a_key_is_sent_from_the_environment(cli, served, monkeypatch):
    served("Welcome.", key="open-sesame")
    done = cli("ask", "hi")
    assert done.code == 5
    assert "KATARIBE_KEY" in done.err
    monkeypatch.setenv("KATARIBE_KEY", "open-sesame")
    assert cli("ask", "hi").out == "Welcome.\n"


def test_verbose_shows_where_an_error_came_from(cli, served):
    served("hi")
    for arguments in (("--verbose", "ask", "-t", "9", "x"), ("ask", "-t", "9", "x", "--verbose")):
        done = cli(*arguments)
        assert done.code == 2
        assert "Traceback" in done.err
        assert done.err.rstrip().endswith("at most 2.")
    assert "Traceback" not in cli("ask", "-t", "9", "--", "--verbose").err


def test_a_settings_file_that_is_wrong_is_told(cli, kataribe_home):
    (kataribe_home / "kataribe.toml").write_text("prot = 1\n")
    done = cli("ask", "hi")
    assert done.code == 2
    assert "prot" in done.err
