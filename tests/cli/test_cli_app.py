"""The command line as a whole: start-up, exit codes, the edge where errors end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kataribe import __version__
from kataribe.base import errors
from kataribe.cli import exits
from kataribe.cli.app import app, run
from kataribe.cli.output import printable, size


def test_help_loads_nothing_heavy():
    lines = [
        "import sys",
        "from kataribe.cli.app import run",
        "run(sys.argv[1:])",
        "heavy = {'torch', 'numpy', 'httpx', 'fastapi', 'rich', 'tokenizers', 'psutil'}",
        "print('loaded:', sorted(heavy & set(sys.modules)))",
    ]
    for arguments in (["--help"], ["models", "--help"], ["up", "--help"], ["--version"]):
        command = [sys.executable, "-c", "\n".join(lines), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.splitlines()[-1] == "loaded: []", done.stdout + done.stderr


def test_python_m_kataribe_is_the_same_command():
    command = [sys.executable, "-m", "kataribe", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"kataribe {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["models"]])
def test_nothing_said_shows_the_help(cli, arguments):
    done = cli(*arguments)
    assert done.code == exits.USAGE
    assert "Usage: kataribe" in done.out + done.err


@pytest.mark.parametrize("arguments", [["dance"], ["ask", "--dance", "x"], ["up", "--port", "x"]])
def test_wrong_usage_is_code_2(cli, arguments):
    assert cli(*arguments).code == exits.USAGE


def test_every_command_and_option_has_help():
    from typer.main import get_command

    waiting = [("kataribe", get_command(app))]
    while waiting:
        name, command = waiting.pop()
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"
        waiting += [(f"{name} {key}", sub) for key, sub in getattr(command, "commands", {}).items()]


def test_the_help_tells_every_exit_code(cli):
    shown = " ".join(cli("--help").out.split())
    for code in exits.MEANING:
        assert f" {code} " in shown


def test_each_kind_of_error_has_its_exit_code():
    expected = {
        errors.InputError("x"): 2,
        errors.ContextLengthError(2, 1): 2,
        errors.SettingsError("x"): 2,
        errors.NotFoundError("x"): 3,
        errors.BusyError("x", retry_after=1): 4,
        errors.UnavailableError("x"): 4,
        errors.PortInUseError("x"): 4,
        errors.AccessError("x"): 5,
        errors.FormatError("x"): 1,
        errors.StorageError("x"): 1,
        errors.DownloadError("x"): 1,
        errors.ProviderError("x"): 1,
        errors.KataribeError("x"): 1,
    }
    assert {error: exits.exit_code(error) for error in expected} == expected
    assert set(expected.values()) < set(exits.MEANING)


def test_an_unexpected_error_is_one_line_too(cli, monkeypatch):
    def broken(**flags):
        raise RuntimeError("boom\nand\nmore")

    monkeypatch.setattr("kataribe.base.settings.load_settings", broken)
    done = cli("ask", "x")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "kataribe: unexpected RuntimeError: boom and more. Add --verbose to see where.\n"
    )


def test_a_reader_that_leaves_is_no_drama(served):
    served("word " * 500)
    script = f"{sys.executable} -m kataribe ask hello | head -c 5"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "word "
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [["ask", "hello"], ["ask", "hello", "--json"], ["models", "list"],
    ["--help"]])  # fmt: skip
def test_a_full_disk_is_said_plainly(served, words):
    served("word " * 5)
    command = [sys.executable, "-m", "kataribe", *words]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == exits.FAILED
    assert done.stderr == (
        "kataribe: The output cannot be written: No space left on device. "
        "Send it to a place with room.\n"
    )


def test_a_closed_output_is_no_drama():
    script = f"{sys.executable} -m kataribe models list >&-"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_narrow_encoding_loses_characters_not_replies(served):
    served("caf\u00e9 語")
    command = [sys.executable, "-m", "kataribe", "ask", "hello"]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, b"caf\xe9 ?\n")


def test_run_gives_codes_and_does_not_leave(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"kataribe {__version__}\n"


def test_control_characters_do_not_reach_a_terminal():
    assert printable("a\x1b[31mb\x07\x00\x9b\tc\nd\x7f語") == "a[31mb\tc\nd語"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (98_362_432, "98.4 MB"),
        (1.1e9, "1.1 GB"),
        (5e15, "5e+03 TB"),
    ],
)
def test_sizes_are_said_as_people_say_them(count, text):
    assert size(count) == text
