"""A conversation in the terminal: what was said, the commands, the loop of turns."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.lm import LM, Request, Sampling
from kataribe.base.messages import Message, text_message, text_of, to_json
from kataribe.cli.answering import Listener, open_lm
from kataribe.cli.given import check_text
from kataribe.cli.lines import read_message
from kataribe.cli.means_here import command_means
from kataribe.cli.metering import price_of
from kataribe.cli.output import note, say
from kataribe.cli.way import Way, asked

if TYPE_CHECKING:
    from kataribe.base.settings import Settings


COMMANDS = {
    "help": "this list",
    "clear": "forget what was said",
    "retry": "answer the last message again",
    "system": "TEXT: what the model is told beforehand",
    "model": "NAME: go on with another model",
    "history": "what was said",
    "save": "FILE: write the conversation as JSON lines",
    "exit": "leave (also Ctrl-D)",
}
LEAVE = ("/exit", "/quit")


@dataclass
class Conversation:
    """What was said and how to go on; `turns` holds neither the system text nor broken turns."""

    settings: Settings
    sampling: Sampling
    system: str | None = None
    seed: int | None = None
    local: bool = False
    turns: list[Message] = field(default_factory=list)
    wanted_model: str | None = None
    way: Way = field(default_factory=Way)
    shows_steps: bool = True

    def messages(self) -> tuple[Message, ...]:
        """The system text and everything said."""
        system = () if self.system is None else (text_message("system", self.system),)
        return (*system, *self.turns)

    def request(self) -> Request:
        """The next request."""
        return Request(self.messages(), self.sampling, seed=self.seed)


def converse(conversation: Conversation, *, plain: bool) -> None:
    """Turns until the person leaves. Raises what opening the first model raises."""
    if not plain and sys.stdin.isatty():
        note(f"{conversation.settings.model}. /help lists the commands; Ctrl-D leaves.")
    _session(conversation, plain=plain)
    while conversation.wanted_model is not None:
        before = conversation.settings
        conversation.settings = before.model_copy(update={"model": conversation.wanted_model})
        conversation.wanted_model = None
        try:
            _session(conversation, plain=plain)
        except KataribeError as error:  # the other model could not be opened: back to the first
            _tell(error)
            conversation.settings = before
            _session(conversation, plain=plain)


def _session(conversation: Conversation, *, plain: bool) -> None:
    """Turns with one model, until the person leaves or wants another."""
    settings, local = conversation.settings, conversation.local
    price = price_of(settings)
    with (
        open_lm(settings, local=local) as model,
        command_means(settings, local=local) as means,
        asked(conversation.way, model, price, means=means) as whom,
    ):
        lm = whom.lm
        while conversation.wanted_model is None:
            try:
                said = read_message("" if plain else "> ")
            except KeyboardInterrupt:
                note("\n(Ctrl-D or /exit leaves)")
                continue
            if said is None or said.strip() in LEAVE:
                return
            try:
                _turn(conversation, lm, said)
            except KataribeError as error:  # one turn failed; the conversation goes on
                _tell(error)


def _tell(error: KataribeError) -> None:
    """Says what went wrong to a person who can go on; a program's input ends there."""
    if not sys.stdin.isatty():
        raise error
    note(f"kataribe: {error.message}")


def _turn(conversation: Conversation, lm: LM, said: str) -> None:
    if not said.strip():
        return
    if said.startswith("/") and not said.startswith("//") and "\n" not in said:
        name, _, rest = said[1:].partition(" ")
        _command(conversation, lm, name, rest.strip())
        return
    text = said.removeprefix("/") if said.startswith("//") else said
    conversation.turns.append(text_message("user", check_text(text, "The message")))
    _answer(conversation, lm)


def _answer(conversation: Conversation, lm: LM) -> None:
    """The reply to the last turn. What cannot be answered is taken back, to be said otherwise."""
    listener = Listener(steps=conversation.shows_steps)
    try:
        finished = asyncio.run(listener.listen(lm, conversation.request()))
    except KeyboardInterrupt:
        say("")
        note("(stopped)")
        if listener.heard:
            conversation.turns.append(text_message("assistant", listener.heard))
        else:
            conversation.turns.pop()
        if not sys.stdin.isatty():
            raise
        return
    except KataribeError:
        if listener.heard:
            say("")
        conversation.turns.pop()
        raise
    say("")
    if finished.reason == "length" and not finished.detail:
        note(f"(cut after {finished.usage.completion_tokens} tokens)")
    elif finished.reason != "stop":
        note(f"(ended by {finished.reason}{': ' * bool(finished.detail)}{finished.detail})")
    conversation.turns.append(text_message("assistant", text_of(finished.message)))


def _command(conversation: Conversation, lm: LM, name: str, rest: str) -> None:
    match name:
        case "help":
            for command, text in COMMANDS.items():
                note(f"  /{command:<10}{text}")
        case "clear":
            conversation.turns.clear()
            note("(a new conversation)")
        case "retry":
            _retry(conversation, lm)
        case "system":
            conversation.system = check_text(rest, "The system text") or conversation.system
            note(f"System text: {conversation.system or '(none)'}")
        case "model":
            conversation.wanted_model = rest or None
            note(f"Model from now on: {rest}" if rest else f"Model: {lm.name}")
        case "history":
            for message in conversation.turns:
                say(f"[{message.role}] {text_of(message)}")
        case "save":
            _save(conversation, rest)
        case _:
            raise InputError(f"/{name} is no command (/help lists them; // begins a text with /).")


def _retry(conversation: Conversation, lm: LM) -> None:
    if conversation.turns and conversation.turns[-1].role == "assistant":
        conversation.turns.pop()
    if not conversation.turns:
        raise InputError("Nothing was said yet that could be answered again.")
    _answer(conversation, lm)


def _save(conversation: Conversation, path: str) -> None:
    from kataribe.files.atomic import write_atomic

    if not path:
        raise InputError("Say where to: /save FILE (one message in JSON per line).")
    messages = conversation.messages()
    lines = [json.dumps(to_json(message), ensure_ascii=False) + "\n" for message in messages]
    write_atomic(Path(path).expanduser(), "".join(lines))
    note(f"Saved {len(lines)} messages to {path}")
