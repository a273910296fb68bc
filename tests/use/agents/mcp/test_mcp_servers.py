"""MCP servers that are programs: real ones by the SDK, and ones that do whatever can go wrong."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp_entries import QUICK, raw, sdk

from kataribe.base.errors import (
    InputError,
    KataribeError,
    NotFoundError,
    ProviderError,
    SettingsError,
    UnavailableError,
)
from kataribe.base.messages import ToolCallPart
from kataribe.base.tool_calls import call_tool
from kataribe.use.agents.mcp import link, pipes
from kataribe.use.agents.mcp.servers import Servers
from kataribe.use.agents.mcp.tool import RemoteTool

Make = Callable[..., Servers]
Begun = Callable[[], list[psutil.Process]]


async def tools(servers: Servers, name: str = "t") -> dict[str, RemoteTool]:
    return {tool.listed.name: tool for tool in await servers.tools(name)}


@asynccontextmanager
async def closing(servers: Servers) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await servers.close()


async def refused(tool: RemoteTool, **arguments: Any) -> str:
    with pytest.raises(KataribeError) as raised:
        await tool.call(arguments)
    return raised.value.message


async def test_a_servers_tools_are_ours(
    servers_of: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, begun: Begun
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "s3cret-token")
    monkeypatch.setenv("NOT_FOR_SERVERS", "mine")
    servers = servers_of(t=sdk(env={"TOKEN": "${SOME_TOKEN}"}))
    assert [state.state for state in servers.states()] == ["closed"]
    assert not begun()
    async with closing(servers):
        found = await tools(servers)
        assert found["add"].spec.name == "t__add"
        assert found["add"].spec.description == "Adds two whole numbers."
        assert found["odd/name.with-dots"].spec.name.startswith("t__odd_name_with-dots_")
        assert await found["add"].call({"a": 2, "b": 3}) == "5"
        assert await found["odd/name.with-dots"].call({}) == "odd"
        moved = await found["move"].call({"point": {"x": 1, "y": 2}, "by": 3, "axis": "y"})
        assert json.loads(moved) == {"x": 1, "y": 5}
        assert await found["picture"].call({}) == (
            "[image, image/png, 1,000 bytes; it cannot be shown here]"
        )
        assert await found["environment"].call({"name": "TOKEN"}) == "s3cret-token"
        assert await found["environment"].call({"name": "NOT_FOR_SERVERS"}) == "(not set)"
        assert await found["where"].call({}) == str(tmp_path)
        # One process for all calls, also side by side, in whatever order it takes them up.
        counted = await asyncio.gather(*(found["count"].call({}) for _ in range(5)))
        assert sorted(counted) == [*"12345"]
        wrong = await refused(found["move"], point={"x": 1, "y": 2}, by=12, axis="y")
        assert "t__move do not fit: by: 12 is greater than the maximum of 9" in wrong
        assert "Its parameters are point, by, axis" in wrong
        assert "Error executing tool fail" in await refused(found["fail"], words="no good")
        (state,) = servers.states()
        assert (state.state, state.error, len(state.tools)) == ("open", "", len(found))
        heard: list[tuple[float, str | None]] = []

        async def hear(done: float, total: float | None, words: str | None) -> None:
            heard.append((done, words))

        await servers.call("t", "steps", {"n": 3}, hear)
        assert heard == [(1, "step 1"), (2, "step 2"), (3, "step 3")]
    assert [state.state for state in servers.states()] == ["closed"]


async def test_a_server_that_dies_says_why_and_comes_back(servers_of: Make) -> None:
    servers = servers_of(t=sdk())
    found = await tools(servers)
    assert await found["count"].call({}) == "1"
    told = await refused(found["die"], code=3, words="out of paper")
    assert "'t' went away during die" in told
    assert "ended with code 3" in told
    assert "out of paper" in told
    assert "whether it has done anything is not known" in told
    (state,) = servers.states()
    assert (state.state, state.error) == ("failed", told)
    assert await found["count"].call({}) == "1"  # a new process
    assert [state.state for state in servers.states()] == ["open"]
    await servers.close()


async def test_fifty_megabytes_are_refused_and_the_server_stays(servers_of: Make) -> None:
    servers = servers_of(t=sdk())
    found = await tools(servers)
    assert await found["count"].call({}) == "1"
    told = await refused(found["large"], megabytes=50)
    assert "52,4" in told
    assert "at most 16,777,216 are read. Ask for less" in told
    assert len(await found["large"].call({"megabytes": 1})) == 1024 * 1024
    call = ToolCallPart("1", "t__large", '{"megabytes": 1}')
    part = await call_tool(list(found.values()), call)
    assert len(part.content) < 21_000
    assert "1,028,576 of 1,048,576 characters left out" in part.content
    assert await found["count"].call({}) == "2"
    await servers.close()


async def test_a_late_answer_is_not_waited_for(servers_of: Make) -> None:
    servers = servers_of(t=sdk(timeout=1))
    found = await tools(servers)
    assert await found["count"].call({}) == "1"
    told = await refused(found["hang"], seconds=30)
    assert "did not answer hang within 1 s" in told
    assert "whether it has done anything is not known" in told
    assert await found["count"].call({}) == "2"  # it answers others meanwhile
    await servers.close()


async def test_a_server_that_hangs_is_opened_anew(
    servers_of: Make, monkeypatch: pytest.MonkeyPatch, begun: Begun
) -> None:
    monkeypatch.setattr(link, "_ALIVE", 0.3)
    servers = servers_of(t=raw("stuck", timeout=0.5))
    found = await tools(servers)
    (first,) = begun()
    assert "did not answer echo within 0.5 s" in await refused(found["echo"])
    assert "'t' hangs" in await refused(found["echo"])
    assert "did not answer echo" in await refused(found["echo"])
    assert first not in begun()
    await servers.close()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("exit", "ended with code 7; its last words were 'starting no license for [hidden]'"),
        ("silent", "did not start within 2 s"),
        ("flood", "wrote more than 10000 lines that are no MCP messages; its standard output had"),
        ("endless", "more than 500 tools"),
        ("nonsense", "what the protocol does not know (tools: Input should be a valid list)"),
    ],
)
async def test_a_server_that_does_not_start_says_why(
    how: str, words: str, servers_of: Make
) -> None:
    start = 2.0 if how == "silent" else 20.0
    servers = servers_of(
        replace(QUICK, start=start, again=30.0), t=raw(how, env={"PASSWORD": "hunter2hunter2"})
    )
    began = time.monotonic()
    with pytest.raises(ProviderError) as raised:
        await servers.tools("t")
    assert "The MCP server 't' " in raised.value.message
    assert words in raised.value.message
    assert "hunter2hunter2" not in raised.value.message
    assert [state.state for state in servers.states()] == ["failed"]
    took = time.monotonic() - began
    with pytest.raises(ProviderError, match="it is tried again after 30 s"):
        await servers.tools("t")
    assert time.monotonic() - began < took + 1  # at once: nobody waits for it again
    await servers.close()


async def test_rubbish_between_messages_is_passed_over(servers_of: Make) -> None:
    servers = servers_of(t=raw("rubbish"))
    found = await tools(servers)
    assert await found["echo"].call({"a": "語\ud800"}) == json.dumps({"a": "語?"})
    await servers.close()


async def test_half_a_character_loses_no_answer(servers_of: Make) -> None:
    servers = servers_of(t=raw("halves"))
    found = await tools(servers)
    assert await found["echo"].call({}) == "half ? of one"
    await servers.close()


async def test_all_pages_of_tools_are_read_and_of_two_names_the_first(servers_of: Make) -> None:
    servers = servers_of(p=raw("pages"), t=raw("twice"))
    assert [tool.spec.name for tool in await servers.tools("p")] == [
        "p__echo0",
        "p__echo1",
        "p__echo2",
    ]
    assert [tool.spec.description for tool in await servers.tools("t")] == ["first"]
    await servers.close()


async def test_an_answer_that_breaks_the_protocol_is_an_error(servers_of: Make) -> None:
    servers = servers_of(t=raw("wrong"))
    found = await tools(servers)
    assert "it answered what the protocol does not know" in await refused(found["echo"])
    await servers.close()


async def test_a_long_answer_finds_who_asked_or_ends_the_session(servers_of: Make) -> None:
    servers = servers_of(replace(QUICK, message=1_000_000), t=raw("long"))
    found = await tools(servers)
    told = await refused(found["echo"])
    assert "an answer has 3,000," in told
    several = await asyncio.gather(*(refused(found["echo"]) for _ in range(3)))
    assert all("an answer has 3,000," in each for each in several)
    await servers.close()


def test_whose_answer_is_too_long_is_read_from_its_ends(tmp_path: Path) -> None:
    async def run() -> None:
        target = link.Target("t", "stdio", ("x",), cwd=tmp_path)
        pipe = pipes.Pipe(target, QUICK)
        pipe._waiting = {1, 2}
        head = b'{"jsonrpc":"2.0","result":{"id":7'
        unknown = pipes.TooLong(99_000_000, head, b"}}")
        assert pipe._too_long(unknown) is None
        assert "whose answer it is cannot be seen" in pipe._why
        known = pipe._too_long(pipes.TooLong(99_000_000, head, b'},"id":2}'))
        assert known is not None
        assert known.message.id == 2
        news = pipes.TooLong(99_000_000, b'{"method":"notifications/message"', b"}")
        assert pipe._too_long(news) is None
        assert pipe._waiting == {1}

    asyncio.run(run())


async def test_one_that_will_not_end_is_ended_with_what_it_began(
    servers_of: Make, begun: Begun
) -> None:
    servers = servers_of(t=raw("stubborn"))
    await tools(servers)
    assert len(begun()) == 2
    await servers.close()
    _, alive = psutil.wait_procs(begun(), timeout=2)
    assert not alive


async def test_a_session_that_nobody_uses_ends_unless_it_is_held(
    servers_of: Make, begun: Begun
) -> None:
    servers = servers_of(replace(QUICK, idle=0.3), t=raw("none"))
    await tools(servers)
    with servers.held(["t"]):
        await asyncio.sleep(1.0)
        assert [state.state for state in servers.states()] == ["open"]
    await asyncio.sleep(1.5)
    assert [state.state for state in servers.states()] == ["closed"]
    assert not begun()
    assert await (await tools(servers))["echo"].call({}) == "{}"
    await servers.close()


async def test_the_file_may_change_at_any_time(servers_of: Make, begun: Begun) -> None:
    servers = servers_of(t=raw("none"), u=raw("none"))
    await tools(servers)
    (first,) = begun()
    entry = raw("pages")
    servers.path.write_text(json.dumps({"mcpServers": {"t": entry}}), encoding="utf-8")
    assert len(await servers.tools("t")) == 3
    with pytest.raises(NotFoundError, match=r"There is no MCP server 'u'\. There are t"):
        await servers.tools("u")
    psutil.wait_procs([first], timeout=3)
    assert first not in begun()
    await servers.close()


async def test_a_call_that_is_given_up_leaves_the_rest_in_peace(servers_of: Make) -> None:
    servers = servers_of(t=raw("late"))
    found = await tools(servers)
    calling = asyncio.create_task(found["echo"].call({}))
    await asyncio.sleep(0.2)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert [state.state for state in servers.states()] == ["open"]
    await servers.close()


def test_each_event_loop_has_sessions_of_its_own(servers_of: Make, begun: Begun) -> None:
    servers = servers_of(t=raw("none"))

    async def once() -> str:
        return await (await tools(servers))["echo"].call({"n": 1})

    for _ in range(2):
        assert asyncio.run(once()) == '{"n": 1}'  # the loop's end ends the session, too
        psutil.wait_procs(begun(), timeout=3)
        assert not begun()
        assert [state.state for state in servers.states()] == ["closed"]


async def test_a_start_that_is_given_up_leaves_nothing_open(tmp_path: Path, begun: Begun) -> None:
    for turns in range(6):  # of the loop: somewhere between the beginning and the program's start
        target = link.Target("t", "stdio", (sys.executable, "-c", "input()"), cwd=tmp_path)
        starting = asyncio.ensure_future(pipes.Pipe(target, QUICK).__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        assert starting.cancel()
        await asyncio.wait([starting])
        assert starting.cancelled()
        del starting
        gc.collect()  # warns of streams that are open, which fails a test
    psutil.wait_procs(begun(), timeout=3)
    assert not begun()


@pytest.mark.parametrize(
    ("entry", "error", "words"),
    [
        ({"command": "no-such-program-here"}, ProviderError, "there is no program 'no-such-prog"),
        ({"command": sys.executable, "cwd": "gone"}, ProviderError, "its folder"),
        ({"command": "/"}, ProviderError, "does not start: Permission denied"),
        ({"comand": "x"}, SettingsError, "Did you mean command?"),
        ({"command": "x", "args": ["${NOT_SET_AT_ALL}"]}, SettingsError, "has no NOT_SET_AT_ALL"),
        ({"command": "x", "disabled": True}, UnavailableError, "is disabled. Take `disabled` out"),
    ],
)
async def test_what_cannot_be_started_says_what_to_do(
    entry: dict[str, Any], error: type[KataribeError], words: str, servers_of: Make
) -> None:
    servers = servers_of(t=entry, good=raw("none"))
    with pytest.raises(error) as raised:
        await servers.tools("t")
    assert words in raised.value.message
    assert "'t'" in raised.value.message
    assert await (await tools(servers, "good"))["echo"].call({}) == "{}"
    await servers.close()


async def test_unknown_servers_have_near_names(servers_of: Make) -> None:
    servers = servers_of(github=raw("none"))
    with pytest.raises(NotFoundError, match="Did you mean github"):
        await servers.tools("githb")


async def test_errors_of_arguments_are_input_errors(servers_of: Make) -> None:
    servers = servers_of(t=sdk())
    found = await tools(servers)
    with pytest.raises(InputError, match="'b' is a required property"):
        await found["add"].call({"a": 1})
    await servers.close()


async def test_a_check_tries_again_at_once_and_sees_new_tools(servers_of: Make) -> None:
    patient = replace(QUICK, again=600.0)
    servers = servers_of(patient, t={"command": "no-such-program-here"})
    async with closing(servers):
        for _ in range(2):
            with pytest.raises(ProviderError) as raised:
                await servers.check("t")
            assert "tried again after" not in raised.value.message
        with pytest.raises(ProviderError, match="tried again after"):
            await servers.tools("t")
        assert servers.known("t") == ()
        servers = servers_of(patient, t=sdk())
        async with closing(servers):
            found = await servers.check("t")
            assert servers.known("t") == found
            assert [tool.listed for tool in await servers.check("t")] == [
                tool.listed for tool in found
            ]


async def test_a_check_ends_a_session_that_does_not_answer(servers_of: Make) -> None:
    servers = servers_of(replace(QUICK, call=0.5), t=sdk(timeout=0.2))
    async with closing(servers):
        found = await tools(servers)
        await refused(found["hang"], seconds=3, blocking=True)
        with pytest.raises(ProviderError, match="does not list its tools"):
            await servers.check("t")
        assert servers.states()[0].state == "failed"


async def test_a_dropped_server_ends_and_is_forgotten(servers_of: Make, begun: Begun) -> None:
    servers = servers_of(t=sdk())
    async with closing(servers):
        await servers.tools("t")
        assert begun()
        servers.drop("t")
        assert servers.known("t") == ()
        for _ in range(500):
            if not begun():
                break
            await asyncio.sleep(0.02)
        assert begun() == []
        servers.drop("nobody")
