"""mcp.json: what is read, what is wrong and said so, what is written, and what is never shown."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import FormatError, InputError, NotFoundError, SettingsError
from kataribe.use.agents.mcp.entries import (
    Entry,
    add_server,
    entry_of,
    read_servers,
    remove_server,
    restore_server,
)
from kataribe.use.agents.mcp.names import LONGEST, exposed_name, split_reference
from kataribe.use.agents.mcp.variables import HIDDEN, resolved


def written(path: Path, servers: Any, **more: Any) -> Path:
    path.write_text(json.dumps({**more, "mcpServers": servers}), encoding="utf-8")
    return path


def test_the_usual_file_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path / "mcp.json",
        {
            "files": {"command": "npx", "args": ["-y", "x"], "env": {"A": "1"}, "cwd": "/data"},
            "far": {"url": "https://u:p@mcp.example.org/mcp?key=1", "headers": {"X": "y"}},
            "old": {"type": "sse", "url": "http://127.0.0.1:1/sse"},
            "code": {"type": "streamable-http", "url": "http://127.0.0.1:1/mcp", "timeout": 5},
        },
        preferences={"theme": "dark"},
    )
    found = read_servers(path)
    assert list(found) == ["files", "far", "old", "code"]
    kinds = [one.entry.kind for one in found.values() if one.entry]
    assert kinds == ["stdio", "http", "sse", "http"]
    far = found["far"].entry
    assert far is not None
    assert far.place == "https://mcp.example.org/mcp"
    assert "u:p" not in far.place
    assert repr(found["files"]).count("'A'") == 0
    assert read_servers(tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"comand": "x"}, "has 'comand', which is unknown. Did you mean command?"),
        ({"command": "x", "zzz": 1}, "'zzz', which is unknown. It may have command, args"),
        ({}, "has neither command nor url"),
        ({"command": "x", "url": "http://a/"}, "has both command and url"),
        ({"command": "x", "type": "http"}, "has type http, which needs a url"),
        ({"url": "http://a/", "type": "stdio"}, "has type stdio, which needs a command"),
        ({"url": "http://a/", "type": "ws"}, "has type 'ws'; known ones are stdio"),
        ({"url": "http://a/", "args": ["x"]}, "has args, which only a server with a command"),
        ({"command": "x", "headers": {"A": "b"}}, "has headers, which only a server with a url"),
        ({"url": "ftp://a/"}, "does not begin with http:// or https://"),
        ({"command": ["x"]}, "has command ['x']: Input should be a valid string"),
        ({"command": "x", "args": "-y"}, "has args '-y'"),
        ({"command": "x", "timeout": 0}, "has timeout 0"),
        ({"command": "x", "timeout": 3_600_001}, "less than or equal to 3600"),
        ({"command": "x", "excludeTools": ["rm"]}, "'excludeTools', which is unknown"),
        ({"command": "x", "transport": "ws"}, "has type 'ws'; known ones are stdio"),
        ({"command": "x", "disabled": "yes"}, "has disabled 'yes'"),
        ("npx x", "must be an object"),
    ],
)  # fmt: skip
def test_a_wrong_entry_says_what_and_leaves_the_others(
    entry: Any, words: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "mcp.json", {"bad": entry, "good": {"command": "x"}})
    found = read_servers(path)
    assert found["good"].entry is not None
    assert found["bad"].entry is None
    assert "The MCP server 'bad' in mcp.json" in found["bad"].problem
    assert words in found["bad"].problem


def test_what_other_hosts_wrote_for_themselves_is_passed_over_with_a_note(tmp_path: Path) -> None:
    path = written(
        tmp_path / "mcp.json",
        {
            "cline": {
                "command": "x",
                "autoApprove": ["read"],
                "disabled": True,
                "timeout": 60,
            },
            "roo": {"command": "x", "alwaysAllow": [], "description": "Reads files."},
            "code": {"command": "x", "type": "stdio", "envFile": ".env", "dev": {"watch": "*"}},
            "far": {"url": "http://a/", "transport": "sse", "enabled": False},
            "slow": {"command": "x", "timeout": 600_000, "trust": True},
            "plain": {"command": "x"},
        },
    )
    found = read_servers(path)
    entries = {name: one.entry for name, one in found.items()}
    assert {one.problem for one in found.values()} == {""}
    assert entries["cline"] == Entry(command="x", disabled=True, timeout=60)
    assert "autoApprove is passed over: calls are asked about" in found["cline"].note
    assert entries["roo"] == entries["plain"]
    assert [word in found["roo"].note for word in ("alwaysAllow", "description")] == [True, True]
    assert entries["code"] == Entry(command="x", type="stdio")
    assert "put them into env" in found["code"].note
    assert (entries["far"].kind, entries["far"].disabled) == ("sse", True)
    assert (found["far"].note, found["plain"].note) == ("", "")
    assert entries["slow"].timeout == 600
    assert "milliseconds" in found["slow"].note


def test_secret_values_are_in_no_error(tmp_path: Path) -> None:
    wrong = {"command": "x", "env": {"TOKEN": {"hunter2hunter2": "hunter2hunter2"}}}
    with pytest.raises(InputError) as raised:
        entry_of("bad", wrong, "mcp.json")
    assert "env.TOKEN" in raised.value.message
    assert "hunter2" not in raised.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON: Expecting property name"),
        ("[]", "must be an object"),
        ('{"mcpservers": {}}', "has no 'mcpServers'. Did you mean that by 'mcpservers'?"),
        ('{"mcpServers": []}', "no object of servers by name"),
        ('{"mcpServers": {"a": {}, "a": {}}}', "has 'a' twice"),
        ("[" * 100_000, "cannot be read"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "has more than 1048576 bytes"),
    ],
)
def test_what_is_no_such_file_is_said(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError) as raised:
        read_servers(path)
    assert words in raised.value.message
    assert str(path) in raised.value.message


def test_writing_keeps_what_others_wrote(tmp_path: Path) -> None:
    path = written(tmp_path / "mcp.json", {"bad": {"comand": "x"}}, preferences={"日本語": [1, 2]})
    path.chmod(0o640)
    add_server(path, "new", Entry(command="x", args=("-y",)))
    whole = json.loads(path.read_text(encoding="utf-8"))
    assert whole["preferences"] == {"日本語": [1, 2]}
    assert whole["mcpServers"] == {
        "bad": {"comand": "x"},
        "new": {"command": "x", "args": ["-y"]},
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(InputError, match="has a server 'new' already"):
        add_server(path, "new", Entry(command="y"))
    with pytest.raises(NotFoundError, match="Did you mean new"):
        remove_server(path, "neww")
    remove_server(path, "new")
    assert json.loads(path.read_text(encoding="utf-8"))["mcpServers"] == {"bad": {"comand": "x"}}
    assert [each.name for each in tmp_path.iterdir()] == ["mcp.json"]


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mcp.json"
    add_server(path, "a", Entry(url="http://127.0.0.1:1/mcp"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="cannot name an MCP server"):
        add_server(path, " ", Entry(command="x"))
    path.write_text("{", encoding="utf-8")
    with pytest.raises(FormatError):
        add_server(path, "b", Entry(command="x"))
    assert path.read_text(encoding="utf-8") == "{"


def test_variables_come_from_the_environment(tmp_path: Path) -> None:
    entry = Entry(
        command="${RUN:-python}",
        args=("--key=${KEY}", "$PLAIN"),
        env={"A": "${env:KEY}", "B": "${EMPTY:-b}"},
        cwd="sub/${KEY}",
    )
    target = resolved("x", entry, {"KEY": "s3cret-value", "EMPTY": ""}, tmp_path)
    assert target.command == ("python", "--key=s3cret-value", "$PLAIN")
    assert target.env == {"A": "s3cret-value", "B": "b"}
    assert target.cwd == tmp_path / "sub" / "s3cret-value"
    assert target.hide("it said s3cret-value!") == f"it said {HIDDEN}!"
    assert "s3cret-value" not in repr(target).replace(str(target.cwd), "")


def test_every_word_of_a_header_is_secret(tmp_path: Path) -> None:
    entry = Entry(url="http://127.0.0.1/mcp", headers={"Authorization": "Bearer ${T}"})
    target = resolved("x", entry, {"T": "abcdefgh"}, tmp_path)
    assert target.headers == {"Authorization": "Bearer abcdefgh"}
    assert target.hide("Bearer abcdefgh, then abcdefgh") == f"{HIDDEN}, then {HIDDEN}"


def test_what_an_address_holds_beside_a_place_is_secret(tmp_path: Path) -> None:
    url = "http://someone:pass%20word@127.0.0.1/mcp?key=abcdefgh&b=1"
    target = resolved("x", Entry(url=url), {}, tmp_path)
    told = target.hide(f"Client error for url '{url}' (abcdefgh)")
    assert (
        told == f"Client error for url 'http://{HIDDEN}:{HIDDEN}@127.0.0.1/mcp?{HIDDEN}' ({HIDDEN})"
    )


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry(command="x", env={"A": "${GONE}"}), "${GONE} in env.A, but the environment has no"),
        (Entry(command="x", args=("${}",)), "which names no variable"),
        (Entry(url="${GONE:-nowhere}"), "does not begin with http"),
        (Entry(url="http://a/", headers={"A": "${BAD}"}), "headers.A with characters"),
    ],
)
def test_what_cannot_be_resolved_names_server_and_field(
    entry: Entry, words: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as raised:
        resolved("x", entry, {"BAD": "a\nb"}, tmp_path)
    assert "The MCP server 'x'" in raised.value.message
    assert words in raised.value.message


def test_no_two_tools_have_one_name() -> None:
    names = ("a", "a_", "a__b", "b", "_b", "a b", "a.b", "ｂ", "x" * 40, "x" * 41, "x" * 90)
    tools = (*names, "b__c", "c", "__", "a_b", "a/b", "道具")
    made = {exposed_name(server, tool) for server in names for tool in tools}
    assert len(made) == len(names) * len(tools)
    for name in made:
        assert 1 <= len(name) <= LONGEST
        assert all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in name)
    assert exposed_name("github", "search_issues") == "github__search_issues"
    assert exposed_name("github", "search.issues") == exposed_name("github", "search.issues")


def test_references_are_split_at_the_server_that_is_known() -> None:
    known = ("a", "a/b", "c")
    assert split_reference("a", known) == ("a", None)
    assert split_reference("a/b", known) == ("a/b", None)
    assert split_reference("a/b/c", known) == ("a/b", "c")
    assert split_reference("c/x/y", known) == ("c", "x/y")
    assert split_reference("gone/x", known) == ("gone", "x")
    assert split_reference("gone", known) == ("gone", None)


def test_a_removed_server_comes_back_to_its_place(tmp_path: Path) -> None:
    servers = {"a": {"command": "a"}, "wrong": {"comand": 1}, "z": {"command": "z"}}
    path = written(tmp_path / "mcp.json", servers, theme="dark")
    before = path.read_text(encoding="utf-8")
    for name in servers:
        removed = remove_server(path, name)
        assert name not in read_servers(path)
        assert "comand" not in repr(removed)
        restore_server(path, removed)
        assert list(read_servers(path)) == list(servers)
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(before)
    with pytest.raises(InputError, match="already"):
        restore_server(path, removed)
    path.unlink()
    restore_server(path, removed)  # the file is gone meanwhile: it is made anew
    assert list(read_servers(path)) == [removed.name]
