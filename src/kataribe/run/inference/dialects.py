"""Tool dialects: how a family of models writes a call.

Each dialect is a few pieces of fixed text around calls of one shape; `DIALECTS` is the whole list,
and a chat template's own text shows which one its model was taught. `tool_grammar` makes a grammar
of it, and `reply_parser` reads by it.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass

from kataribe.run.inference.notations import ESCAPED, KEY_TAGS, PYTHON, QUOTED, TAGS, Notation

MOST_CALLS = 32
"""Calls in one reply; a small model that calls forever is stopped by the grammar."""

ID_LETTERS = string.ascii_letters + string.digits
"""What short ids of calls are made of."""

ID_LENGTH = 9
"""Letters of a short id."""

THINK, UNTHINK = "<think>", "</think>"
"""Around what a model thinks before it answers."""

NAME, ID = "$NAME", "$ID"
"""In a head: the function's name, and a short id that the model writes itself."""


@dataclass(frozen=True, slots=True)
class ToolDialect:
    """How calls stand in a reply: `trigger lead call (between call)* closing`.

    Attributes:
        trigger: The text that announces calls wherever it stands in a reply. Without one, a reply
            is calls from its beginning, or text.
        lead: Text between the trigger and the first call.
        between: Text between two calls.
        closing: Text after the last call.
        head: A call's text before its arguments, with `$NAME` and perhaps `$ID` in it.
        tail: A call's text after its arguments.
        notation: How arguments are written; None for a JSON object.
        signs: What a chat template says whose model writes so: any of these groups of texts, all
            texts of the group.
        most_calls: Calls that its chat templates can show in one turn.
        short_ids: Its chat templates refuse ids of calls that are not nine letters or digits.
    """

    trigger: str
    lead: str
    between: str
    closing: str
    head: str = f'{{"name": "{NAME}", "arguments": '
    tail: str = "}"
    notation: Notation | None = None
    signs: tuple[tuple[str, ...], ...] = ()
    most_calls: int = MOST_CALLS
    short_ids: bool = False

    @property
    def opening(self) -> str:
        """Text before the first call."""
        return self.trigger + self.lead

    @property
    def reads_bare(self) -> bool:
        """A reply may also begin with a call as JSON without the dialect's marks (`bare_calls`).

        Models that were taught a trigger around JSON objects often leave the trigger out.
        """
        return bool(self.trigger) and self.head.startswith(f'{{"name": "{NAME}"')

    def new_id(self) -> str:
        """An id for a new call."""
        if self.short_ids:
            return "".join(secrets.choice(ID_LETTERS) for _ in range(ID_LENGTH))
        return f"call_{secrets.token_hex(12)}"

    def head_of(self, name: str) -> tuple[str, str, str]:
        """A call's head: fixed text, then `ID` where the model writes one, then fixed text."""
        is_json = f'"{NAME}"' in self.head
        told = json.dumps(name, ensure_ascii=False)[1:-1] if is_json else name
        return self.head.replace(NAME, told, 1).partition(ID)

    def starts(self, names: Sequence[str]) -> list[str]:
        """Texts that no reply in words begins with, where there is no trigger."""
        before = self.head.partition(NAME)[0]
        if before:
            return [self.lead + before]
        return [self.lead + self.head_of(name)[0] for name in names]


HERMES = ToolDialect(
    trigger="<tool_call>",
    lead="\n",
    between="\n</tool_call>\n<tool_call>\n",
    closing="\n</tool_call>",
    signs=(("<tool_call>",),),
)
"""NousResearch's Hermes, Qwen 2.5 and 3, SmolLM 3, Granite 4; also what we teach models without a
way of their own."""

QWEN_CODER = ToolDialect(
    trigger="<tool_call>",
    lead="\n",
    between="\n</tool_call>\n<tool_call>\n",
    closing="\n</tool_call>",
    head=f"<function={NAME}>",
    tail="",
    notation=TAGS,
    signs=(("<tool_call>", "<function=", "<parameter="),),
)
"""Qwen3-Coder and Qwen 3.5, Nemotron 3."""

GLM = ToolDialect(
    trigger="<tool_call>",
    lead="",
    between="\n<tool_call>",
    closing="",
    head=f"{NAME}\n",
    tail="",
    notation=KEY_TAGS,
    signs=(("<tool_call>", "<arg_key>", "<arg_value>"),),
)
"""GLM 4.5 and 4.6."""

LLAMA = ToolDialect(
    trigger="",
    lead="",
    between="; ",
    closing="",
    head=f'{{"name": "{NAME}", "parameters": ',
    signs=(('"parameters": ', "ipython"),),
    most_calls=1,
)
"""Llama 3.1, 3.2 and 4: bare JSON; their templates refuse turns with several calls."""

PYTHONIC = ToolDialect(
    trigger="",
    lead="[",
    between=", ",
    closing="]",
    head=f"{NAME}(",
    tail="",
    notation=PYTHON,
    signs=(("[func_name1(",),),
)
"""Llama 3.2 and 4 with the templates that ask for Python."""

LFM = ToolDialect(
    trigger="<|tool_call_start|>",
    lead="[",
    between=", ",
    closing="]<|tool_call_end|>",
    head=f"{NAME}(",
    tail="",
    notation=PYTHON,
    signs=(("<|tool_list_start|>",), ("<|tool_call_start|>",)),
)
"""Liquid's LFM 2."""

MISTRAL = ToolDialect(
    trigger="[TOOL_CALLS]",
    lead=" [",
    between=", ",
    closing="]",
    signs=(("[TOOL_CALLS]",),),
    short_ids=True,
)
"""Mistral from 7B v0.3 to Small 3.1."""

MISTRAL_ARGS = ToolDialect(
    trigger="[TOOL_CALLS]",
    lead="",
    between="[TOOL_CALLS]",
    closing="",
    head=f"{NAME}[ARGS]",
    tail="",
    signs=(("[TOOL_CALLS]", "[ARGS]"),),
    short_ids=True,
)
"""Devstral, Magistral and Ministral from the middle of 2025 on."""

MISTRAL_IDS = ToolDialect(
    trigger="[TOOL_CALLS]",
    lead="",
    between="[TOOL_CALLS]",
    closing="",
    head=f"{NAME}[CALL_ID]{ID}[ARGS]",
    tail="",
    signs=(("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"),),
    short_ids=True,
)
"""Mistral Small 3.2."""

PHI = ToolDialect(
    trigger="<|tool_call|>",
    lead="",
    between="<|/tool_call|><|tool_call|>",
    closing="<|/tool_call|>",
    signs=(("<|tool_call|>", "<|/tool_call|>"),),
)
"""Phi 4 mini with templates that show one call after the other."""

PHI_LIST = ToolDialect(
    trigger="<|tool_call|>",
    lead="[",
    between=", ",
    closing="]<|/tool_call|>",
    signs=(("<|tool_call|>[", "<|/tool_call|>"),),
)
"""Phi 4 mini with templates that show calls as a list."""

GRANITE = ToolDialect(
    trigger="<|tool_call|>",
    lead="[",
    between=", ",
    closing="]",
    signs=(("<|tool_call|>",),),
)
"""Granite 3."""

NEMOTRON = ToolDialect(
    trigger="<TOOLCALL>",
    lead="[",
    between=", ",
    closing="]</TOOLCALL>",
    signs=(("<TOOLCALL>",),),
)
"""Nemotron Nano 2."""

FUNCTION_GEMMA = ToolDialect(
    trigger="<start_function_call>",
    lead="",
    between="<end_function_call><start_function_call>",
    closing="<end_function_call>",
    head=f"call:{NAME}{{",
    tail="",
    notation=ESCAPED,
    signs=(("<start_function_call>",),),
)
"""FunctionGemma."""

GEMMA4 = ToolDialect(
    trigger="<|tool_call>",
    lead="",
    between="<tool_call|><|tool_call>",
    closing="<tool_call|>",
    head=f"call:{NAME}{{",
    tail="",
    notation=QUOTED,
    signs=(("<|tool_call>", "<tool_call|>"),),
)
"""Gemma 4."""

DIALECTS = (
    *(QWEN_CODER, GLM, MISTRAL_IDS, MISTRAL_ARGS, MISTRAL, FUNCTION_GEMMA, GEMMA4),
    *(PHI_LIST, PHI, GRANITE, NEMOTRON, LFM, HERMES, PYTHONIC, LLAMA),
)
"""All of them; a template's is the first whose signs it shows."""


def dialect_of(template: str) -> ToolDialect | None:
    """The dialect that a chat template's own text shows; None where it shows none we know."""
    return next(
        (
            dialect
            for dialect in DIALECTS
            if any(all(sign in template for sign in group) for group in dialect.signs)
        ),
        None,
    )
