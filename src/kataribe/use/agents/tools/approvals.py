"""Which tools run unasked, which only with the user's consent, and which never."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from kataribe.base.errors import InputError
from kataribe.base.lm import Tool
from kataribe.base.messages import ToolCallPart

Approval: TypeAlias = Literal["always", "ask", "never"]
"""`always`: approved once and for all, runs unasked. `ask`: each call waits. `never`: refused."""


@dataclass(frozen=True, slots=True)
class Approvals:
    """The user's word on each tool.

    Attributes:
        default: For tools that are not named.
        tools: By the tool's name.
    """

    default: Approval = "ask"
    tools: Mapping[str, Approval] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = get_args(Approval)
        for name, word in (("default", self.default), *self.tools.items()):
            if word not in known:
                raise InputError(
                    f"The approval of {name!r} is {word!r}, but must be one of {', '.join(known)}.",
                    param="approval",
                )

    def of(self, name: str) -> Approval:
        """The word on this tool."""
        return self.tools.get(name, self.default)

    def usable(self, tools: Sequence[Tool]) -> tuple[Tool, ...]:
        """The tools that a model should be told of: all but those that never run."""
        return tuple(tool for tool in tools if self.of(tool.spec.name) != "never")

    def waiting(self, calls: Sequence[ToolCallPart]) -> tuple[ToolCallPart, ...]:
        """The calls that need the user's consent before they run."""
        return tuple(call for call in calls if self.of(call.name) == "ask")
