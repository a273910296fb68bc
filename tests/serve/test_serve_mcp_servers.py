"""MCP servers over HTTP: shown, checked, tried, added, removed and put back; real processes."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from kataribe.cli.mcp_here import LONGEST_ANSWER, MOST_REMOVED, McpHere
from kataribe.run.providers import ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.rooms import Rooms
from kataribe.serve.settings import ServerSettings
from kataribe.store import api_keys, people
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.use.agents.mcp.servers import Servers
from kataribe.use.chats.chats import Chats
from tests.serve.conftest import source_of
from tests.use.agents.mcp.mcp_entries import HERE, QUICK, raw, sdk, sdk_servers

ALL = "/studio/api/mcp"
TOKEN = "horse-battery-staple"
LINE = shlex.join([sys.executable, str(HERE / "server_for_tests.py")])


@dataclass
class House:
    """A server over a folder with an `mcp.json`."""

    folder: Path
    store: Store
    environment: dict[str, str] = field(default_factory=lambda: {"TOKEN": TOKEN})

    def __post_init__(self) -> None:
        self.path = self.folder / "mcp.json"
        self.servers = Servers(self.path, self.environment, QUICK)
        source = source_of(ScriptedLM())
        self.source = source
        chats = Chats(self.store, source, "scripted", titles=False)
        self.rooms = Rooms(self.store, chats, mcp=McpHere(self.servers))

    def write(self, **entries: Any) -> None:
        self.path.write_text(json.dumps({"theme": "dark", "mcpServers": entries}))

    def written(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    @asynccontextmanager
    async def client(
        self, key: str | None = None, settings: ServerSettings | None = None
    ) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(self.source, settings or ServerSettings(), rooms=self.rooms)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8720", headers=headers, timeout=60
        ) as http:
            yield http

    def person(self, name: str) -> str:
        """A new account; its key."""
        with self.store.writing() as tx:
            person, _ = people.add(tx, name, "none", now())
            return api_keys.make(tx, person.id, "tests", now())[1]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    store = Store(tmp_path / "kataribe.db")
    house = House(tmp_path, store)
    yield house
    await house.servers.close()
    store.close()


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as http:
        yield http


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Every process that a test began has ended."""
    before = set(psutil.Process().children(recursive=True))
    yield
    left = set(psutil.Process().children(recursive=True)) - before
    _, alive = psutil.wait_procs(left, timeout=5)
    for process in alive:
        process.kill()
    assert not alive


async def listed(http: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    answer = await http.get(ALL)
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()["data"]}


async def check(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer = await http.post(f"{ALL}/check/{name}", json={})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def call(http: httpx.AsyncClient, server: str, tool: str, /, **given: Any) -> httpx.Response:
    return await http.post(f"{ALL}/call/{server}", json={"tool": tool, "arguments": given})


def error_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


async def test_the_list_says_how_each_is_and_starts_none(house: House, http) -> None:
    assert await listed(http) == {}  # without a file
    house.write(
        files=sdk(env={"SECRET": TOKEN}),
        far={
            "url": f"https://u:{TOKEN}@mcp.example.org/mcp?key={TOKEN}",
            "headers": {"X-A": TOKEN},
        },
        off=sdk(disabled=True),
        odd={"comand": "x"},
    )
    answer = await http.get(ALL)
    assert TOKEN not in answer.text
    assert (answer.json()["may_add"], answer.json()["needs_key"]) == (True, False)
    found = await listed(http)
    assert {name: one["state"] for name, one in found.items()} == {
        "files": "closed", "far": "closed", "off": "off", "odd": "wrong",
    }  # fmt: skip
    assert (found["files"]["kind"], found["files"]["env"]) == ("stdio", ["SECRET"])
    assert str(HERE) not in found["files"]["place"]  # no arguments
    assert (found["far"]["place"], found["far"]["headers"]) == (
        "https://mcp.example.org/mcp", ["X-A"],
    )  # fmt: skip
    assert "Did you mean command?" in found["odd"]["error"]
    assert sdk_servers() == []


async def test_what_of_an_entry_is_passed_over_is_said(house: House, http) -> None:
    house.write(other=sdk(alwaysAllow=["add"], timeout=60_000), plain=sdk())
    found = await listed(http)
    assert "alwaysAllow is passed over" in found["other"]["note"]
    assert "timeout 60000 is read as milliseconds" in found["other"]["note"]
    assert (found["other"]["error"], found["plain"]["note"]) == ("", "")
    assert (await check(http, "other"))["server"]["note"] == found["other"]["note"]


async def test_a_check_starts_it_and_brings_its_tools(house: House, http) -> None:
    house.write(files=sdk())
    assert (await http.get(f"{ALL}/servers/files")).json()["tools"] == []
    found = await check(http, "files")
    assert found["server"]["state"] == "open"
    tools = {tool["name"]: tool for tool in found["tools"]}
    assert tools["add"]["called"] == "files__add"
    assert tools["add"]["about"] == "Adds two whole numbers."
    assert set(tools["add"]["parameters"]["required"]) == {"a", "b"}
    assert (await listed(http))["files"]["tools"] == len(tools)
    assert (await http.get(f"{ALL}/servers/files")).json() == found
    before = sdk_servers()
    assert (await check(http, "files"))["server"]["state"] == "open"
    assert sdk_servers() == before, "the session was kept"


@pytest.mark.parametrize(
    ("entry", "state", "words"),
    [
        ({"command": "no-such-program-here"}, "failed", "no-such-program-here"),
        (sdk(env={"A": "${NOT_SET}"}), "failed", "NOT_SET"),
        (sdk(disabled=True), "off", "disabled"),
        ({"command": "x", "url": "http://a/"}, "wrong", "both command and url"),
        (raw("nonsense"), "failed", "the protocol does not know"),
    ],
)
async def test_a_check_says_why_it_cannot_be_used(
    house: House, http, entry: dict[str, Any], state: str, words: str
) -> None:
    house.write(it=entry)
    found = await check(http, "it")
    assert found["server"]["state"] == state
    assert words in found["server"]["error"]
    assert found["tools"] == []


async def test_a_mended_server_is_checked_at_once(house: House, http) -> None:
    house.write(it={"command": "no-such-program-here"})
    assert (await check(http, "it"))["server"]["state"] == "failed"
    house.write(it=sdk())
    found = await check(http, "it")
    assert (found["server"]["state"], found["server"]["error"]) == ("open", "")


async def test_one_that_died_is_opened_anew(house: House, http) -> None:
    house.write(files=sdk())
    await check(http, "files")
    answer = (await call(http, "files", "die", code=3, words="farewell")).json()
    assert answer["failed"]
    assert "went away during die" in answer["text"]
    found = (await listed(http))["files"]
    assert (found["state"], "farewell" in found["error"]) == ("failed", True)
    found = (await check(http, "files"))["server"]
    assert (found["state"], found["error"]) == ("open", "")


async def test_a_tool_is_tried_with_arguments(house: House, http) -> None:
    house.write(files=sdk())
    answer = await call(http, "files", "add", a=2, b=40)  # opens it
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["text"], found["failed"], found["left_out"]) == ("42", False, 0)
    assert found["seconds"] >= 0
    failed = (await call(http, "files", "fail", words="too warm")).json()
    assert failed["failed"]
    assert failed["text"] == "Error executing tool fail"  # what the SDK tells
    long = (await call(http, "files", "large", megabytes=1)).json()
    assert (len(long["text"]), long["left_out"]) == (LONGEST_ANSWER, (1 << 20) - LONGEST_ANSWER)


async def test_arguments_that_do_not_fit_are_refused_before_it_runs(house: House, http) -> None:
    house.write(files=sdk())
    assert (await call(http, "files", "count")).json()["text"] == "1"
    answer = await call(http, "files", "add", a="two", b=1)
    assert answer.status_code == 400
    assert "do not fit" in error_of(answer)
    for body in ({"tool": "add", "arguments": [1]}, {"tool": "add", "more": 1}, {"arguments": {}}):
        answer = await http.post(f"{ALL}/call/files", json=body)
        assert answer.status_code == 400, body
    answer = await call(http, "files", "cout")
    assert (answer.status_code, "Did you mean count?" in error_of(answer)) == (404, True)
    assert (await call(http, "files", "count")).json()["text"] == "2"
    assert (await call(http, "nobody", "count")).status_code == 404


async def test_a_program_is_added_with_names_of_variables_only(house: House, http) -> None:
    house.write(old={"url": "http://127.0.0.1:1/mcp"})
    body = {"name": "my files", "line": LINE, "env": ["TOKEN"]}
    answer = await http.post(ALL, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["server"]["state"] == "closed"
    assert sdk_servers() == [], "nothing is started"
    assert house.written() == {
        "theme": "dark",
        "mcpServers": {
            "old": {"url": "http://127.0.0.1:1/mcp"},
            "my files": {
                "command": sys.executable,
                "args": [str(HERE / "server_for_tests.py")],
                "env": {"TOKEN": "${TOKEN}"},
            },
        },
    }
    assert (await call(http, "my files", "environment", name="TOKEN")).json()["text"] == TOKEN
    assert TOKEN not in house.path.read_text()
    answer = await http.post(ALL, json=body)
    assert (answer.status_code, "already" in error_of(answer)) == (400, True)


async def test_an_address_is_added_with_the_name_of_its_token(house: House, http) -> None:
    body = {"name": "far", "url": "https://mcp.example.org/mcp", "bearer": "TOKEN"}
    assert (await http.post(ALL, json=body)).status_code == 200
    assert house.written()["mcpServers"]["far"] == {
        "url": "https://mcp.example.org/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "x"}, "neither command nor url"),
        ({"name": "x", "line": "a", "url": "http://a/"}, "both command and url"),
        ({"name": " ", "line": "a"}, "cannot name an MCP server"),
        ({"name": "x", "line": "a 'b"}, "cannot be read"),
        ({"name": "x", "url": "ftp://a/"}, "http:// or https://"),
        ({"name": "x", "line": "a", "bearer": "TOKEN"}, "to an address only"),
        ({"name": "x", "url": "http://a/", "env": ["TOKEN"]}, "to a program only"),
        ({"name": "x", "line": "a", "env": [f"A={TOKEN}"]}, "letters, digits and _ only"),
        ({"name": "x", "line": "a", "args": ["b"]}, "args"),
    ],
)
async def test_what_cannot_be_a_server_is_refused(
    house: House, http, body: dict[str, Any], words: str
) -> None:
    answer = await http.post(ALL, json=body)
    assert answer.status_code == 400, answer.text
    assert words in error_of(answer)
    assert TOKEN not in answer.text
    assert not house.path.exists()


async def test_a_removed_server_is_put_back_as_it_was(house: House, http) -> None:
    house.write(a=sdk(), odd={"comand": TOKEN}, z=sdk(env={"S": TOKEN}))
    before = house.path.read_text()
    await check(http, "z")
    for name in ("odd", "z"):
        answer = await http.request("DELETE", f"{ALL}/servers/{name}")
        assert (answer.status_code, TOKEN in answer.text) == (200, False)
    assert list(await listed(http)) == ["a"]
    assert TOKEN not in house.path.read_text()
    for _ in range(500):  # its session ends by itself
        if not sdk_servers():
            break
        await asyncio.sleep(0.02)
    assert sdk_servers() == []
    assert (await http.request("DELETE", f"{ALL}/servers/z")).status_code == 404
    for name in ("z", "odd"):
        answer = await http.post(f"{ALL}/restore/{name}", json={})
        assert (answer.status_code, TOKEN in answer.text) == (200, False)
    assert json.loads(before) == house.written()
    answer = await http.post(f"{ALL}/restore/z", json={})
    assert (answer.status_code, "Add it anew" in error_of(answer)) == (404, True)


async def test_what_stands_there_by_now_is_not_written_over(house: House, http) -> None:
    house.write(a=sdk())
    await http.request("DELETE", f"{ALL}/servers/a")
    house.write(a={"url": "http://127.0.0.1:1/mcp"})
    answer = await http.post(f"{ALL}/restore/a", json={})
    assert (answer.status_code, "already" in error_of(answer)) == (400, True)
    assert house.written()["mcpServers"]["a"] == {"url": "http://127.0.0.1:1/mcp"}
    house.write()
    assert (await http.post(f"{ALL}/restore/a", json={})).status_code == 200  # not lost by it


async def test_only_the_last_ones_can_be_put_back(house: House, http) -> None:
    house.write(**{f"s{number}": sdk() for number in range(MOST_REMOVED + 1)})
    for number in range(MOST_REMOVED + 1):
        await http.request("DELETE", f"{ALL}/servers/s{number}")
    assert (await http.post(f"{ALL}/restore/s0", json={})).status_code == 404
    assert (await http.post(f"{ALL}/restore/s1", json={})).status_code == 200


async def test_any_name_has_an_address(house: House, http) -> None:
    names = ["a/b", "検索", "x/check", "check/x", "servers/a", "with space"]
    house.write(**dict.fromkeys(names, sdk(disabled=True)))
    for name in names:
        told = httpx.URL(path="/" + name).raw_path.decode()[1:]
        path = f"{ALL}/servers/{told}"
        assert (await http.get(path)).json()["server"]["name"] == name
        assert (await check(http, told))["server"]["state"] == "off"
        answer = await http.get(f"{ALL}/check/{told}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert (await http.request("DELETE", path)).json() == {"name": name}
    assert await listed(http) == {}


async def test_a_file_that_is_none_is_said_and_kept(house: House, http) -> None:
    house.path.write_text("{ not json")
    for method, path, body in (
        ("GET", ALL, None),
        ("POST", ALL, {"name": "x", "line": "y"}),
        ("POST", f"{ALL}/check/x", {}),
        ("POST", f"{ALL}/call/x", {"tool": "t"}),
        ("DELETE", f"{ALL}/servers/x", None),
    ):
        answer = await http.request(method, path, json=body)
        assert (answer.status_code, "is no JSON" in error_of(answer)) == (400, True), path
    assert house.path.read_text() == "{ not json"


async def test_where_people_have_accounts_nobody_adds_a_program(house: House) -> None:
    house.write(files=sdk())
    key = house.person("taro")
    async with house.client() as http:
        assert (await http.get(ALL)).status_code == 401
        assert (await http.post(f"{ALL}/call/files", json={"tool": "count"})).status_code == 401
    async with house.client(key) as http:
        found = (await http.get(ALL)).json()
        assert (found["may_add"], found["needs_key"]) == (False, True)
        for body in (
            {"name": "x", "line": "y"},
            {"name": "x", "url": "http://a/", "bearer": "PATH"},
        ):
            answer = await http.post(ALL, json=body)
            assert (answer.status_code, "kataribe mcp add" in error_of(answer)) == (403, True)
        # Servers are everybody's, as models are: to use, and to remove.
        assert (await call(http, "files", "count")).json()["text"] == "1"
        assert (await http.request("DELETE", f"{ALL}/servers/files")).status_code == 200
        assert (await http.post(f"{ALL}/restore/files", json={})).status_code == 200


async def test_with_a_key_others_are_told_to_send_it(house: House) -> None:
    async with house.client("open-sesame", ServerSettings(key="open-sesame")) as http:
        found = (await http.get(ALL)).json()
        assert (found["may_add"], found["needs_key"]) == (True, True)


async def test_without_servers_it_says_so(house: House) -> None:
    house.rooms = Rooms(house.rooms.store, house.rooms.chats)
    async with house.client() as http:
        answer = await http.get(ALL)
        assert (answer.status_code, "kataribe up" in error_of(answer)) == (400, True)
