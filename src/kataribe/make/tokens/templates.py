"""Chat templates: how a model was taught to see a conversation.

A template is a Jinja program that comes with the model, in the dialect of `transformers`
(https://huggingface.co/docs/transformers/chat_templating). It is rendered in a sandbox in a child
process with limits of time and memory (`template_host`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kataribe.base.errors import InputError, TemplateError
from kataribe.base.lm import ToolSpec
from kataribe.base.messages import Message, text_message
from kataribe.make.tokens.specials import SpecialTexts
from kataribe.make.tokens.template_host import shared_host
from kataribe.make.tokens.template_values import map_strings, message_values, tool_values

OWN_NAMES = frozenset({"messages", "tools", "add_generation_prompt"})
_PROBE = ToolSpec("kataribe_probe", "Finds out what a template shows.")


class Marks:
    """Stand-ins for pieces of people's texts while a template is rendered.

    A stand-in is a secret number of digits, which survives whatever a template does to a text
    (trimming, changing case, writing JSON). Nobody who writes a message can know it.
    """

    def __init__(self, specials: SpecialTexts) -> None:
        self._specials = specials
        self._secret = str(10**39 + secrets.randbelow(9 * 10**39))
        self._originals: list[str] = []
        self._known: dict[str, str] = {}
        self._pattern = re.compile(self._secret + r"(\d{6})")

    def __bool__(self) -> bool:
        return bool(self._originals)

    def inner(self, text: str) -> str:
        """The text with a stand-in for every control token's text in it."""
        parts: list[str] = []
        position = 0
        for start, end in self._specials.find(text):
            parts += [text[position:start], self._mark(text[start:end])]
            position = end
        return "".join([*parts, text[position:]])

    def whole(self, text: str) -> str:
        """`inner`, and for an edge that could become a control token with the text beside it."""
        start = self._specials.open_start(text)
        end = max(start, self._specials.open_end(text))
        head = self._mark(text[:start]) if start else ""
        tail = self._mark(text[end:]) if end < len(text) else ""
        return head + self.inner(text[start:end]) + tail

    def restore(self, text: str) -> str:
        """The text with the originals in their places."""
        return self._pattern.sub(lambda found: self._originals[int(found[1])], text)

    def _mark(self, original: str) -> str:
        known = self._known.get(original)
        if known is None:
            known = self._known[original] = f"{self._secret}{len(self._originals):06d}"
            self._originals.append(original)
        return known


@dataclass(frozen=True)
class Chat:
    """One conversation as a template gets it; the fields are explained at `ChatTemplate.render`."""

    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    add_generation_prompt: bool = True
    continue_last: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.messages:
            raise InputError("A chat has no messages; send at least one.", param="messages")
        for name in sorted(OWN_NAMES & set(self.variables)):
            raise InputError(
                f"The template variable {name!r} belongs to the chat itself; "
                "pass messages and tools as such.",
                param="chat_template_kwargs",
            )


@dataclass(frozen=True)
class ChatTemplate:
    """A model's chat template.

    Attributes:
        source: The Jinja program.
        tool_source: Another one for requests with tools, where the model brings two.
        names: The special tokens that templates name (`bos_token`, `eos_token`, ...).
    """

    source: str
    tool_source: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def supports_tools(self) -> bool:
        """Whether the template shows the model its tools: found out by rendering one."""
        if self.tool_source is not None:
            return True
        try:
            return _PROBE.name in self.render([text_message("user", "?")], tools=[_PROBE])
        except TemplateError:
            return False

    @cached_property
    def supports_system(self) -> bool:
        """Whether the template shows the model a system message: found out by rendering one."""
        chat = [text_message("system", _PROBE.name), text_message("user", "?")]
        try:
            return _PROBE.name in self.render(chat)
        except TemplateError:
            return False

    @cached_property
    def reads(self) -> frozenset[str]:
        """The variables that it may read, besides what makes up a chat."""
        sources = [self.source] if self.tool_source is None else [self.source, self.tool_source]
        return frozenset().union(*map(shared_host().names, sources)) - OWN_NAMES

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        add_generation_prompt: bool = True,
        continue_last: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The text that the model sees.

        Args:
            messages: The conversation.
            tools: Tools that the model may call.
            add_generation_prompt: Ends with the beginning of the assistant's turn.
            continue_last: The last message is an unfinished turn; the text ends inside it.
            variables: More values for the template (`enable_thinking`, `documents`, ...).

        Raises:
            InputError: No messages, a variable with a name of the template's own, one that it
                never reads or that is not JSON; continuing a message that has no words.
            UnsupportedError: A message brings images or sound.
            TemplateError: See `TemplateHost.render`.
        """
        chat = Chat(messages, tools, add_generation_prompt, continue_last, variables or {})
        return self.render_marked(chat, Marks(SpecialTexts(())))

    def render_marked(self, chat: Chat, marks: Marks) -> str:
        """The text with stand-ins for control tokens that people wrote; `marks` restores them."""
        return self.render_many([(chat, marks)])[0]

    def render_many(self, chats: Sequence[tuple[Chat, Marks]]) -> list[str]:
        """`render_marked` for several chats, all of them in one exchange with the child process."""
        asked = [self._values(chat, marks) for chat, marks in chats]
        texts = shared_host().render_many([(source, values) for source, values, _ in asked])
        return [
            text if cut is None else _cut(text, cut)
            for text, (_, _, cut) in zip(texts, asked, strict=True)
        ]

    def _values(self, chat: Chat, marks: Marks) -> tuple[str, dict[str, Any], str | None]:
        """The program, what it is given, and the tag at which its text is cut."""
        self._check_read(chat.variables)
        messages = [_mark_message(value, marks) for value in message_values(chat.messages)]
        tools = map_strings(tool_values(chat.tools), marks.inner)
        variables = map_strings(dict(chat.variables), marks.inner)
        cut = _open_last(messages) if chat.continue_last else None
        source = self.tool_source if tools and self.tool_source is not None else self.source
        values = {
            **self.names,
            "documents": None,
            **variables,
            "messages": messages,
            "tools": tools,
            "add_generation_prompt": chat.add_generation_prompt and not chat.continue_last,
        }
        return source, values, cut

    def _check_read(self, variables: Mapping[str, Any]) -> None:
        """A variable that nobody reads could not change the answer: a misspelt one, mostly."""
        unread = sorted(variables.keys() - self.reads) if variables else []
        if not unread:
            return
        known = ", ".join(sorted(self.reads - self.names.keys()))
        way_out = f"It may read {known}." if known else "It reads none; leave them out."
        raise InputError(
            f"The chat template never reads the variable {unread[0]!r}. {way_out}",
            param="chat_template_kwargs",
        )


def _mark_message(value: Mapping[str, Any], marks: Marks) -> dict[str, Any]:
    marked: dict[str, Any] = {}
    for key, item in value.items():
        if key == "role":
            marked[key] = item
        elif key in ("content", "reasoning_content", "thinking"):
            marked[key] = marks.whole(item)
        elif key == "tool_calls":
            marked[key] = [
                {**call, "function": map_strings(call["function"], marks.inner)} for call in item
            ]
        else:
            marked[key] = map_strings(item, marks.inner)
    return marked


def _open_last(messages: list[dict[str, Any]]) -> str:
    """Puts a tag behind the last message's words, where the text will be cut."""
    content = messages[-1]["content"]
    if not content:
        raise InputError(
            "The last message has no words to continue; give it some or leave out continue_last.",
            param="messages",
        )
    tag = f"{10**39 + secrets.randbelow(9 * 10**39)} "
    messages[-1]["content"] = content + tag
    return tag


def _cut(text: str, tag: str) -> str:
    """The text up to the tag, as `transformers` cuts it.

    The tag ends with a space: a template that trims its messages loses it, and would have trimmed
    the unfinished words too.
    """
    at = text.rfind(tag.strip())
    if at < 0:
        raise TemplateError(
            "The chat template leaves out the last message, so it cannot be continued. "
            "Send the request without continue_last (or continue_final_message)."
        )
    return text[:at] if text[at : at + len(tag)] == tag else text[:at].rstrip()
