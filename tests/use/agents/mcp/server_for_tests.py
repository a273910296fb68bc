"""An MCP server by the official SDK for the tests: over standard streams, or HTTP with a port.

`python server_for_tests.py [--http PORT | --sse PORT] [--legacy]`
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

from mcp.server.mcpserver import Context, Image, MCPServer
from pydantic import BaseModel, Field

server = MCPServer("for-tests", version="1")
counted: list[int] = []


class Point(BaseModel):
    x: int
    y: int


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two whole numbers."""
    return a + b


@server.tool()
def move(point: Point, by: Annotated[int, Field(ge=1, le=9)], axis: Literal["x", "y"]) -> Point:
    """Moves a point."""
    return Point(x=point.x + by * (axis == "x"), y=point.y + by * (axis == "y"))


@server.tool()
def count() -> int:
    """How often it was called in this process."""
    counted.append(1)
    return len(counted)


@server.tool()
def fail(words: str) -> str:
    """Fails."""
    raise ValueError(words)


@server.tool()
def picture() -> Image:
    """A picture."""
    return Image(data=b"\x89PNG" + b"\0" * 996, format="png")


@server.tool(structured_output=False)
def large(megabytes: int) -> str:
    """Answers much."""
    return "x" * (megabytes * 1024 * 1024)


@server.tool()
async def hang(seconds: float, blocking: bool = False) -> str:
    """Takes its time."""
    if blocking:
        time.sleep(seconds)  # noqa: ASYNC251 - it is to hang
    else:
        await asyncio.sleep(seconds)
    return "at last"


@server.tool()
def die(code: int, words: str = "") -> str:
    """Ends the process at once."""
    sys.stderr.write(words + "\n")
    sys.stderr.flush()
    os._exit(code)


@server.tool()
def environment(name: str) -> str:
    """A variable of its environment."""
    return os.environ.get(name, "(not set)")


@server.tool()
def where() -> str:
    """Its folder."""
    return str(Path.cwd())


@server.tool()
async def steps(n: int, ctx: Context) -> str:
    """Tells its progress."""
    for one in range(n):
        await ctx.report_progress(one + 1, n, f"step {one + 1}")
    return "done"


@server.tool(name="odd/name.with-dots")
def odd() -> str:
    """Has a name that no model may call."""
    return "odd"


if __name__ == "__main__":
    words = sys.argv[1:]
    if words and words[0] in ("--http", "--sse"):
        kind = {"--http": "streamable-http", "--sse": "sse"}[words[0]]
        server.run(kind, host="127.0.0.1", port=int(words[1]))
    else:
        server.run("stdio")
