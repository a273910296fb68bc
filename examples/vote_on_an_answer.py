"""A technique around a model: five ways of thinking, one vote, and what all of it cost."""

import asyncio

from kataribe.base.events import Finished, Step, TextDelta
from kataribe.base.lm import Request
from kataribe.base.messages import text_message
from kataribe.run.providers import ScriptedLM
from kataribe.use.prompts.registry import technique

PATHS = ["6 + 7.\nAnswer: 13", "6 x 7.\nAnswer: 42", "Answer: 42", "Hm.", "7 x 6.\nAnswer: 42.0"]


async def main() -> None:
    lm = technique("self-consistency", ScriptedLM(PATHS), {"paths": 5, "at_once": 1})
    question = text_message("user", "How many eggs are in six nests of seven?")
    async for event in lm.stream(Request((question,))):
        match event:
            case Step(name, detail):
                print(f"  ({name}: {detail})")
            case TextDelta(text):
                print(text)
            case Finished(usage=usage):
                print(f"{usage.prompt_tokens} tokens read, {usage.completion_tokens} written.")


if __name__ == "__main__":
    asyncio.run(main())
