"""`kataribe mcp`: servers in the file, their tools by hand, and Kataribe as one over stdio."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from kataribe.base.workspace import Workspace
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.providers.scripted import Reply

FOLDER = Path(__file__).parents[1] / "use" / "agents" / "mcp"
RAW = [sys.executable, str(FOLDER / "raw_server_for_tests.py")]
SDK = [sys.executable, str(FOLDER / "server_for_tests.py")]
PATIENCE = 120  # seconds; machines may be busy, and no test asserts a time


def test_a_server_is_written_listed_called_and_removed(cli, kataribe_home, monkeypatch):
    assert "There are no MCP servers yet" in cli("mcp", "list").err
    monkeypatch.setenv("MY_TOKEN", "s3cret-token")
    done = cli("mcp", "add", "t", "--env", "MY_TOKEN", "--env", "B=b", "--", *SDK)
    path = kataribe_home / "mcp.json"
    assert (done.code, done.out.strip()) == (0, str(path)), done.err
    entry = json.loads(path.read_text())["mcpServers"]["t"]
    assert entry == {
        "command": SDK[0],
        "args": SDK[1:],
        "env": {"MY_TOKEN": "${MY_TOKEN}", "B": "b"},
    }
    (row,) = [line.split("\t") for line in cli("mcp", "list").out.splitlines()]
    assert row == ["t", "stdio", "closed", sys.executable, ""]
    called = cli("mcp", "call", "t", "add", "--json", '{"a": 2, "b": 3}')
    assert (called.code, called.out) == (0, "5\n"), called.err
    piped = cli("mcp", "call", "t", "add", "--json", "-", given=b'{"a": 2, "b": 4}')
    assert piped.out == "6\n"
    told = cli("mcp", "call", "t", "environment", "--json", '{"name": "MY_TOKEN"}')
    assert told.out == "s3cret-token\n"
    tools = json.loads(cli("mcp", "tools", "t", "--json").out)
    assert {"name", "called", "about", "parameters"} == set(tools[0])
    assert "add\ta, b\tAdds two whole numbers." in cli("mcp", "tools", "t").out
    again = cli("mcp", "add", "t", "--", "x")
    assert again.code == 2
    assert "kataribe mcp rm t" in again.err
    near = cli("mcp", "rm", "tt", "--yes")
    assert (near.code, "Did you mean t" in near.err) == (3, True)
    assert cli("mcp", "rm", "t", "--yes").code == 0
    assert json.loads(path.read_text()) == {"mcpServers": {}}


def test_secrets_are_not_listed(cli, kataribe_home):
    secret = "s3cret-token"
    header = f"Authorization: Bearer {secret}"
    url = f"http://me:{secret}@127.0.0.1:1/mcp?key={secret}"
    assert cli("mcp", "add", "far", "--url", url, "--header", header).code == 0
    assert cli("mcp", "add", "t", "-e", f"A={secret}", "--", "x", f"--key={secret}").code == 0
    for arguments in (("list",), ("list", "--json"), ("list", "--check"), ("tools", "far")):
        done = cli("mcp", *arguments)
        assert secret not in done.out + done.err, arguments
    states = json.loads(cli("mcp", "list", "--json").out)
    assert [state["place"] for state in states] == ["http://127.0.0.1:1/mcp", "x"]


def test_checking_says_which_servers_cannot_be_used(cli, kataribe_home, tmp_path):
    entries = {
        "good": {"command": RAW[0], "args": [*RAW[1:], "none"]},
        "bad": {"command": RAW[0], "args": [*RAW[1:], "exit"]},
        "wrong": {"comand": "x"},
        "off": {"command": "x", "disabled": True},
    }
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"mcpServers": entries}))
    done = cli("mcp", "list", "--check", "--file", str(file))
    rows = {row[0]: row for row in (line.split("\t") for line in done.out.splitlines())}
    assert [row[2] for row in rows.values()] == ["open", "failed", "wrong", "off"]
    assert rows["good"][4] == "1 tools"
    assert "ended with code 7" in rows["bad"][4]
    assert "Did you mean command?" in rows["wrong"][4]
    assert done.code == 1
    assert cli("mcp", "list", "--file", str(file)).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("tools", "gone"), 3, "There is no MCP server 'gone'"),
        (("list", "--file", "/nowhere/mcp.json"), 3, "There is no file"),
        (("add", "x"), 2, "has neither command nor url"),
        (("add", "x", "--url", "http://a/", "--", "y"), 2, "has both command and url"),
        (("add", "x", "--url", "a"), 2, "does not begin with http"),
        (("add", "x", "--env", "=1", "--", "y"), 2, "--env has no name"),
        (("add", "x", "--url", "http://a/", "--header", "s3cret"), 2, "needs a name and a colon"),
        (("call", "t", "echo", "--json", "[1]"), 2, "give an object"),
        (("call", "t", "echo", "--json", "{"), 2, "which is no JSON"),
        (("call", "t", "ecko"), 3, "has no tool 'ecko'. Did you mean echo?"),
    ],
)
def test_what_cannot_be_done_says_why(cli, kataribe_home, arguments, code, words):
    path = kataribe_home / "mcp.json"
    text = json.dumps({"mcpServers": {"t": {"command": RAW[0], "args": [*RAW[1:], "none"]}}})
    path.write_text(text)
    done = cli("mcp", *arguments)
    assert (done.code, words in done.err) == (code, True), done.err
    assert "s3cret" not in done.err
    assert path.read_text() == text


def parameters(home: Path, *flags: str, **more: str) -> StdioServerParameters:
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = {"PYTHONPATH": os.pathsep.join(str(Path(each).absolute()) for each in given if each)}
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "kataribe", "mcp", "serve", *flags],
        env={**kept, "KATARIBE_HOME": str(home), **more},
    )


def names(result: Any) -> list[str]:
    return [one["name"] for one in result.structured_content["models"]]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_asks_the_running_server(mode, served, kataribe_home):
    lm = served(Reply("one two three", pace=0.1))
    heard: list[str | None] = []

    async def hear(done: float, total: float | None, words: str | None) -> None:
        heard.append(words)

    async with Client(parameters(kataribe_home), mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert tools == ["ask", "list_models"]
        assert names(await client.call_tool("list_models", {})) == ["smollm2-135m"]
        answer = await client.call_tool("ask", {"question": "Hi"}, PATIENCE, hear)
    assert answer.content[0].text == "one two three"
    assert "".join(word or "" for word in heard) == "one two three"
    assert len(lm.requests) == 1


async def test_it_loads_the_model_itself_where_no_server_runs(kataribe_home, pico_path):
    Catalog(Workspace(kataribe_home)).import_(pico_path, as_name="pico", link=True)
    (kataribe_home / "assistants").mkdir()
    recipe = "about: Says little.\nmodel: pico\nsystem: Be brief.\nsampling: {max_tokens: 4}\n"
    (kataribe_home / "assistants" / "terse.yaml").write_text(recipe)
    async with Client(parameters(kataribe_home, "--model", "pico")) as client:
        listed = (await client.call_tool("list_models", {})).structured_content["models"]
        by_name = {one["name"]: one for one in listed}
        assert by_name["pico"]["default"]
        assert (by_name["terse"]["kind"], by_name["terse"]["about"]) == (
            "assistant",
            "Says little.",
        )
        asked = {"question": "Hi", "max_tokens": 5}
        answer = await client.call_tool("ask", asked, PATIENCE)
        assert not answer.is_error, answer.content
        assert answer.structured_content["completion_tokens"] <= 5
        answer = await client.call_tool("ask", {"question": "Hi", "model": "terse"}, PATIENCE)
        assert not answer.is_error, answer.content
        assert answer.structured_content["completion_tokens"] <= 4


async def test_one_kataribe_uses_the_tools_of_another(served, cli, kataribe_home, tmp_path):
    served("Hello from inside.")
    entry = parameters(kataribe_home)
    file = tmp_path / "mcp.json"
    servers = {"k": {"command": entry.command, "args": entry.args, "env": entry.env}}
    file.write_text(json.dumps({"mcpServers": servers}))
    arguments = ("mcp", "call", "k", "ask", "--json", '{"question": "?"}', "--file", str(file))
    done = await asyncio.to_thread(cli, *arguments)
    assert done.out.startswith("Hello from inside."), done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it(number, code, served, kataribe_home):
    served("Hello.")
    entry = parameters(kataribe_home)
    process = subprocess.Popen(
        [entry.command, *entry.args],
        env={**os.environ, **(entry.env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        ask = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        process.stdin.write(json.dumps(ask).encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, out) == (code, b"")
    assert b"Traceback" not in err
