"""A process that works on one run until it is done or killed; it says each record that is kept.

    python autonomous_child.py JOURNAL EFFECTS

Every call of its tool appends a line to EFFECTS, and takes a moment to answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from kataribe.base.events import Finished
from kataribe.base.lm import Capabilities, Request
from kataribe.base.messages import Message, ToolResultPart, text_message, text_of
from kataribe.base.tool_calls import call_tool
from kataribe.run.providers.scripted import Call, Line, Reply, ScriptedLM
from kataribe.use.agents.autonomous import Autonomous
from kataribe.use.agents.journal import open_journal
from kataribe.use.agents.loop import Agent
from tests.use.agents.parts import Plain

TASKS = 3
WIDE = Capabilities(10**6, tools=True, structured_output=True)


def planner(request: Request) -> Line:
    order = text_of(request.prompt[-1])  # type: ignore[arg-type]
    if "split it into the fewest tasks" in order:
        tasks = [{"title": f"part {n}", "done_when": "it is noted"} for n in range(TASKS)]
        return json.dumps({"tasks": tasks})
    if "Is the task done?" in order:
        return '{"ok": true, "why": "it is noted"}'
    return "The deliverable."


def worker(request: Request) -> Line:
    """Calls its tool twice for each task, then says what it did."""
    last = request.prompt[-1]
    assert isinstance(last, Message)
    if last.role == "user":
        title = text_of(last).partition("this task of it: ")[2].partition("\n")[0]
        made = [Call("note", {"text": f"{title} {part}"}) for part in ("a", "b")]
        return Reply(calls=tuple(made))
    said = [part.content for part in last.parts if isinstance(part, ToolResultPart)]
    return f"Noted: {said}"


def note(effects: Path) -> Plain:
    async def work(text: str) -> str:
        with effects.open("a") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        await asyncio.sleep(0.01)
        return f"{text} is noted"

    return Plain("note", work)


def made(effects: Path) -> Autonomous:
    agent = Agent(ScriptedLM(worker, capabilities=WIDE), [note(effects)], call_tool)
    return Autonomous(ScriptedLM(planner, capabilities=WIDE), agent)


GOAL = Request((text_message("user", "Note three parts."),))


async def main(journal_path: Path, effects: Path) -> None:
    with open_journal(journal_path) as journal:
        kept = journal.append

        async def told(record: object) -> None:
            await kept(record)  # type: ignore[arg-type]
            print(len(journal.records()), flush=True)
            await asyncio.sleep(0.005)

        journal.append = told  # type: ignore[method-assign, assignment]
        begun = bool(journal.records())
        lm = made(effects)
        events = lm.resume(journal) if begun else lm.work(GOAL, journal)
        async for event in events:
            if isinstance(event, Finished):
                print("end", text_of(event.message), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
