"""Asks an `LM` and prints its words as they come. The scripted one needs no weights."""

import asyncio

from kataribe.base.events import Finished, TextDelta
from kataribe.base.lm import LM, Request
from kataribe.base.messages import text_message
from kataribe.run.providers.scripted import ScriptedLM


async def main(lm: LM) -> None:
    request = Request((text_message("user", "Who are you?"),))
    async for event in lm.stream(request):
        match event:
            case TextDelta(text):
                print(text, end="", flush=True)
            case Finished():
                print(f"\n({event.usage.completion_tokens} tokens, {event.reason})")


if __name__ == "__main__":
    asyncio.run(main(ScriptedLM("I am the one who recites.")))
