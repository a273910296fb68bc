"""A bare server of chat completions: the same streamed reply to everybody, at a steady pace.

`python -m benchmarks.wrapping.upstream FIRST GAP PIECES` (seconds, seconds, count) prints its port.
It does as little as it can, so that what is measured is not its own work.
"""

from __future__ import annotations

import asyncio
import json
import sys

WORDS = ("The ", "lamp ", "was ", "lit ", "at ", "nine", ", ", "and ", "ships ", "came ", "in. ")
"""A reply goes through them at different places, so that it says nothing over and over."""
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def chunks(pieces: int) -> list[bytes]:
    """The reply, an event a chunk, as they go over the wire."""
    texts = [f"{WORDS[(7 * place + place // 11) % len(WORDS)]}" for place in range(pieces)]
    texts = [f"{place} {text}" if place % 5 == 0 else text for place, text in enumerate(texts)]
    events = [_event({"choices": [_choice({"content": text})]}) for text in texts]
    events[0] = _event({"choices": [_choice({"role": "assistant", "content": texts[0]})]})
    usage = {"prompt_tokens": 40, "completion_tokens": pieces, "total_tokens": 40 + pieces}
    events.append(_event({"choices": [_choice({}, "stop")]}))
    events.append(_event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n")
    return [b"%x\r\n%b\r\n" % (len(event), event) for event in events]


def _choice(delta: dict[str, str], reason: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _event(fields: dict[str, object]) -> bytes:
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "upstream",
    }
    return b"data: " + json.dumps({**head, **fields}).encode() + b"\n\n"


async def serve(first: float, gap: float, pieces: int) -> None:
    """Serves until it is stopped."""
    reply = chunks(pieces)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                begun = asyncio.get_running_loop().time()
                await _until(begun + first)
                writer.write(_HEAD + reply[0])
                for place, chunk in enumerate(reply[1:], 1):
                    await _until(begun + first + place * gap)
                    writer.write(chunk)
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _until(when: float) -> None:
    left = when - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
