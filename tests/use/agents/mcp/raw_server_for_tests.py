"""An MCP server by hand, of the handshake's time, that misbehaves as its argument says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import Any

HOW = sys.argv[1]
TOOL = {"name": "echo", "inputSchema": {"type": "object"}, "description": "Says it again."}
LINES = "nothing to see\n" * 1000


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def answer(number: Any, result: Any) -> None:
    say({"jsonrpc": "2.0", "id": number, "result": result})


def tools(number: Any, cursor: str | None) -> None:
    if HOW == "pages":
        page = int(cursor or 0)
        made = [{**TOOL, "name": f"echo{page}"}]
        more = {"nextCursor": str(page + 1)} if page < 2 else {}
        answer(number, {"tools": made, **more})
    elif HOW == "endless":
        page = int(cursor or 0)
        answer(number, {"tools": [TOOL] * 200, "nextCursor": str(page + 1)})
    elif HOW == "nonsense":
        answer(number, {"tools": "none"})
    elif HOW == "twice":
        answer(number, {"tools": [{**TOOL, "description": "first"}, TOOL]})
    else:
        answer(number, {"tools": [TOOL]})


def call(number: Any, arguments: dict[str, Any]) -> None:
    if HOW == "late":
        return
    if HOW == "stuck":
        time.sleep(60)
    if HOW == "long":
        # Its id comes last, after a number that is an id of something else.
        inner = {"id": 99999, "words": "x" * 3_000_000}
        say({"jsonrpc": "2.0", "result": {"content": [], "_meta": inner}, "id": number})
        return
    if HOW == "wrong":
        answer(number, {"content": [{"type": "hologram"}]})
        return
    words = "half \ud83d of one" if HOW == "halves" else json.dumps(arguments)
    answer(number, {"content": [{"type": "text", "text": words}]})


def main() -> None:
    if HOW == "exit":
        sys.stderr.write("starting\nno license for hunter2hunter2\n")
        raise SystemExit(7)
    if HOW == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    if HOW == "flood":
        while True:
            sys.stdout.write(LINES)
    if HOW == "silent":
        time.sleep(60)
    for line in sys.stdin:
        if HOW == "rubbish":
            print("Listening on port 3000...\n\n{}")
        message = json.loads(line)
        number, method = message.get("id"), message.get("method")
        if number is None:
            continue
        if method == "initialize":
            answer(
                number,
                {
                    "protocolVersion": "2025-06-18",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "raw", "version": "1"},
                },
            )
        elif method == "tools/list":
            tools(number, (message.get("params") or {}).get("cursor"))
        elif method == "tools/call":
            call(number, message["params"].get("arguments") or {})
        else:
            error = {"code": -32601, "message": "Method not found"}
            say({"jsonrpc": "2.0", "id": number, "error": error})
    if HOW == "stubborn":
        time.sleep(60)


main()
