"""Tools of MCP servers in recipes: all of one, one of one, and servers that are not to be had."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from lending import Shelf, around, end, question, scripted, steps, told

from kataribe.base.errors import InputError
from kataribe.base.lm import Capabilities
from kataribe.base.messages import ToolResultPart, text_of
from kataribe.run.providers.scripted import Call, Reply
from kataribe.use.agents.mcp.limits import ServerLimits
from kataribe.use.agents.mcp.servers import Servers
from kataribe.use.assistants.compose import Around

SCRIPT = Path(__file__).parents[1] / "agents" / "mcp" / "server_for_tests.py"
GOOD = {"command": sys.executable, "args": [str(SCRIPT)]}
ALWAYS = {"approval": "always"}


@asynccontextmanager
async def with_servers(folder: Path, lm: Any, **entries: Any) -> AsyncIterator[Around]:
    path = folder / "mcp.json"
    path.write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")
    servers = Servers(path, limits=ServerLimits(again=60.0))
    try:
        yield around(Shelf(plain=lm), folder, servers=servers)
    finally:
        await servers.close()


async def test_all_tools_of_a_server_are_the_assistants(tmp_path: Path) -> None:
    lm = scripted([Reply(calls=(Call("t__add", {"a": 2, "b": 40}),)), "It is 42."])
    async with with_servers(tmp_path, lm, t=GOOD) as there:
        recipe = {"tools": [{"name": "mcp:t", **ALWAYS}, "clock"]}
        events = await told(recipe, there, question("?"))
    assert text_of(end(events).message) == "It is 42."
    names = {tool.name for tool in lm.requests[0].tools}
    assert {"t__add", "t__count", "current_time"} < names
    results = [part for message in lm.requests[1].prompt for part in message.parts]
    assert any(getattr(part, "content", "") == "42" for part in results)
    assert steps(events, "mcp") == []


async def test_one_tool_may_be_named_by_itself_with_its_own_approval(tmp_path: Path) -> None:
    calls = Reply(calls=(Call("t__add", {"a": 2, "b": 40}),)), Reply(calls=(Call("t__count", {}),))
    lm = scripted(list(calls))
    async with with_servers(tmp_path, lm, t=GOOD) as there:
        recipe = {"tools": ["mcp:t", {"name": "mcp:t/add", **ALWAYS}]}
        events = await told(recipe, there, question("?"))
    assert len(lm.requests) == 2  # the sum ran unasked, the count waits
    assert end(events).reason == "approval"
    names = [tool.name for tool in lm.requests[0].tools]
    assert len(names) == len(set(names))
    lm = scripted("Hello.")
    async with with_servers(tmp_path, lm, t=GOOD) as there:
        await told({"tools": ["mcp:t/odd/name.with-dots"]}, there, question("?"))
    assert [tool.name.rpartition("_")[0] for tool in lm.requests[0].tools] == [
        "t__odd_name_with-dots"
    ]


async def test_the_rest_goes_on_without_a_server_that_is_not_to_be_had(tmp_path: Path) -> None:
    lm = scripted([Reply(calls=(Call("t__add", {"a": 1, "b": 1}),)), "2"])
    broken = {"command": sys.executable, "args": ["-c", "raise SystemExit('no license')"]}
    entries = {"t": GOOD, "broken": broken, "wrong": {"comand": "x"}}
    async with with_servers(tmp_path, lm, **entries) as there:
        tools = [{"name": f"mcp:{name}", **ALWAYS} for name in (*entries, "wrong/x")]
        events = await told({"tools": tools}, there, question("?"))
    assert text_of(end(events).message) == "2"
    first, second = steps(events, "mcp")
    assert "'broken' cannot be used" in first
    assert "no license" in first
    assert "Did you mean command?" in second
    assert second.endswith("The reply goes on without its tools.")


async def test_a_server_that_dies_in_a_reply_costs_one_call(tmp_path: Path) -> None:
    calls = (
        Reply(calls=(Call("t__count", {}), Call("clock__none", {}))),
        Reply(calls=(Call("t__die", {"code": 3, "words": "out of paper"}),)),
        Reply(calls=(Call("t__count", {}),)),
    )
    lm = scripted([*calls, "I counted."])
    async with with_servers(tmp_path, lm, t=GOOD) as there:
        events = await told({"tools": [{"name": "mcp:t", **ALWAYS}]}, there, question("?"))
    assert text_of(end(events).message) == "I counted."
    results = [
        part.content
        for message in lm.requests[-1].prompt
        for part in message.parts
        if isinstance(part, ToolResultPart)
    ]
    assert (results[0], results[-1]) == ("1", "1")  # a new process counts anew
    assert "out of paper" in results[2]
    assert "whether it has done anything is not known" in results[2]


async def test_an_assistant_whose_servers_are_all_gone_still_answers(tmp_path: Path) -> None:
    lm = scripted("Hello.", repeat=True)
    async with with_servers(tmp_path, lm, wrong={"comand": "x"}) as there:
        for recipe in ({"tools": ["mcp:wrong"]}, {"tools": ["mcp:wrong"], "technique": "react"}):
            events = await told(recipe, there, question("?"))
            assert text_of(end(events).message) == "Hello."
            assert len(steps(events, "mcp")) == 1
        (tmp_path / "mcp.json").write_text("{", encoding="utf-8")
        events = await told({"tools": ["mcp:wrong"]}, there, question("?"))
        assert text_of(end(events).message) == "Hello."
        assert "is no JSON" in steps(events, "mcp")[0]


async def test_a_model_that_acts_in_text_needs_consent_too(tmp_path: Path) -> None:
    no_tools = Capabilities(context_length=4096)
    script = ['Thought: add.\nAction: t__add\nAction Input: {"a": 2, "b": 3}', "Final Answer: 5"]
    lm = scripted([script[0], *script], capabilities=no_tools)
    async with with_servers(tmp_path, lm, t=GOOD) as there:
        events = await told({"tools": ["mcp:t/add"]}, there, question("?"))
        assert end(events).reason == "approval"
        recipe = {"tools": [{"name": "mcp:t/add", **ALWAYS}]}
        events = await told(recipe, there, question("2 + 3?"))
    assert "5" in text_of(end(events).message)


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("mcp:tt", "There is no MCP server 'tt'. Did you mean t?"),
        ("mcp:zzzzz", "There is no MCP server 'zzzzz'. There are t."),
        ("mcp:t/ad", "The MCP server 't' has no tool 'ad'. Did you mean add?"),
        ({"name": "mcp:t", "options": {"x": 1}}, "The tool mcp:t has no options"),
    ],
)
async def test_what_is_not_there_is_said_with_near_names(
    tool: Any, words: str, tmp_path: Path
) -> None:
    async with with_servers(tmp_path, scripted(), t=GOOD) as there:
        with pytest.raises(InputError) as raised:
            await told({"tools": [tool]}, there, question("?"))
    assert raised.value.message.startswith("The assistant helper: ")
    assert words in raised.value.message


async def test_without_any_servers_the_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is an MCP server's, and there are none here"):
        await told({"tools": ["mcp:t"]}, around(Shelf(plain=scripted()), tmp_path), question("?"))
