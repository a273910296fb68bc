"""How a user's answer to a call that needs consent travels: as the call's result in a message.

A turn that needs consent ends with the reason `approval` and the calls that wait for it. The next
request has the same messages, then the assistant's with those calls, then for each call a tool
message whose content is the answer as JSON:

    {"approval": "yes"}
    {"approval": "no", "why": "Not that file."}

Any wire format that carries results of tools carries this. Only what the caller sends counts:
what a tool has answered inside the agent is never read as consent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from kataribe.base.messages import Message, ToolCallPart, ToolResultPart


@dataclass(frozen=True, slots=True)
class Answer:
    """A user's answer to one call."""

    approved: bool
    why: str = ""


def approve(*calls: ToolCallPart) -> Message:
    """A message that lets these calls run."""
    return Message("tool", tuple(ToolResultPart(c.id, '{"approval": "yes"}') for c in calls))


def refuse(*calls: ToolCallPart, why: str = "") -> Message:
    """A message that lets none of these calls run."""
    content = json.dumps({"approval": "no", "why": why}, ensure_ascii=False)
    return Message("tool", tuple(ToolResultPart(call.id, content) for call in calls))


def answer_of(result: ToolResultPart) -> Answer:
    """The answer that a caller has sent for a call; what is no clear yes is a no."""
    try:
        told = json.loads(result.content)
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict) and told.get("approval") in ("yes", "no"):
        why = told.get("why", "")
        return Answer(told["approval"] == "yes", why if isinstance(why, str) else "")
    return Answer(approved=False, why=result.content[:2000])
