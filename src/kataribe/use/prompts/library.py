"""The prompts that a person keeps: templates with versions, and what they were answered with.

A prompt is named `translate`, one of its versions `translate@3`; without a number it is the newest.
A version never changes, so what has answered can always be looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kataribe.base.errors import InputError, NotFoundError
from kataribe.base.nearness import meant
from kataribe.store import prompt_answers, prompts
from kataribe.store.database import Store
from kataribe.store.prompt_answers import Answer
from kataribe.store.prompts import Prompt, Version, Wording
from kataribe.use.prompts.template import Template, difference

_NUMBER = re.compile(r"v?([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class Shown:
    """A prompt and one of its versions."""

    prompt: Prompt
    version: Version

    @property
    def name(self) -> str:
        """`NAME@NUMBER`."""
        return f"{self.prompt.name}@{self.version.number}"

    @property
    def template(self) -> Template:
        """What it says."""
        return Template(self.version.text)


class Library:
    """The prompts in a database; each method is a transaction of its own, and may block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self, owner: str, *, deleted: bool = False) -> list[Shown]:
        """Every prompt with its newest version; or those that can come back."""
        with self._store.reading() as tx:
            found = prompts.listing(tx, owner, deleted=deleted)
            return [Shown(one, prompts.version_of(tx, one)) for one in found]

    def find(self, owner: str, reference: str) -> Shown:
        """The prompt `NAME`, or `NAME@NUMBER`.

        Raises `NotFoundError`, with near names or the numbers there are, and `InputError` for what
        is no such reference.
        """
        name, number = parse_named(reference)
        with self._store.reading() as tx:
            found = prompts.named(tx, owner, name)
            if found is None:
                raise _unknown(name, prompts.all_names(tx, owner))
            return Shown(found, prompts.version(tx, owner, found.id, number))

    def get(self, owner: str, id_: str, number: int | None = None) -> Shown:
        """The prompt with an id, in the newest version or this one; raises `NotFoundError`."""
        with self._store.reading() as tx:
            found = prompts.get(tx, owner, id_)
            return Shown(found, prompts.version(tx, owner, id_, number))

    def versions(self, owner: str, id_: str) -> list[Version]:
        """All versions of a prompt, the first one first."""
        with self._store.reading() as tx:
            return prompts.versions(tx, owner, id_)

    def create(self, owner: str, name: str, text: str, note: str = "") -> Shown:
        """A new prompt. Raises `InputError` for a bad or taken name and a text that is none."""
        wording = wording_of(text, note)
        with self._store.writing() as tx:
            made = prompts.create(tx, owner, name, wording)
            return Shown(made, prompts.version(tx, owner, made.id))

    def write(self, owner: str, id_: str, text: str, note: str = "") -> Shown:
        """Another version; where nothing has changed, the newest one as it is."""
        wording = wording_of(text, note)
        with self._store.writing() as tx:
            version = prompts.add_version(tx, owner, id_, wording)
            return Shown(prompts.get(tx, owner, id_), version)

    def rename(self, owner: str, id_: str, name: str) -> Shown:
        """Gives a prompt another name."""
        with self._store.writing() as tx:
            found = prompts.rename(tx, owner, id_, name)
            return Shown(found, prompts.version(tx, owner, id_))

    def difference(self, owner: str, id_: str, old: int, new: int) -> str:
        """What changed between two versions, as a unified diff; empty where nothing did."""
        with self._store.reading() as tx:
            name = prompts.get(tx, owner, id_).name
            first, second = (prompts.version(tx, owner, id_, each) for each in (old, new))
        told = difference(Template(first.text), Template(second.text)).split("\n")
        # Its head names the versions by their hashes.
        return "\n".join([f"--- {name}@{old}", f"+++ {name}@{new}", *told[2:]]) if told[1:] else ""

    def delete(self, owner: str, id_: str) -> Prompt:
        """Deletes a prompt, so that it can come back for a while."""
        with self._store.writing() as tx:
            return prompts.delete(tx, owner, id_)

    def restore(self, owner: str, id_: str) -> Shown:
        """Brings a deleted prompt back; `InputError` where its name is another's now."""
        with self._store.writing() as tx:
            found = prompts.restore(tx, owner, id_)
            return Shown(found, prompts.version(tx, owner, id_))

    def keep_answer(self, owner: str, id_: str, number: int, answer: Answer) -> Answer:
        """Notes what a version was answered with."""
        with self._store.writing() as tx:
            return prompt_answers.keep(tx, owner, id_, number, answer)

    def link(self, owner: str, id_: str, number: int, message: str) -> Answer:
        """Notes that a reply in a conversation answers a version."""
        with self._store.writing() as tx:
            return prompt_answers.link(tx, owner, id_, number, message)

    def answers(
        self,
        owner: str,
        id_: str,
        *,
        number: int | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Answer]:
        """What a prompt was answered with, newest first; see `store.prompt_answers.listing`."""
        with self._store.reading() as tx:
            return prompt_answers.listing(tx, owner, id_, number=number, before=before, limit=limit)


def wording_of(text: str, note: str = "") -> Wording:
    """A text as a version has it; raises `InputError` for one that is no template."""
    return Wording(text, Template(text).variables, " ".join(note.split()))


def parse_named(reference: str) -> tuple[str, int | None]:
    """`translate@3` as a name and a number; None where there is none."""
    name, at, number = reference.strip().partition("@")
    if not at:
        return name, None
    found = _NUMBER.fullmatch(number.strip())
    if found is None or not name:
        raise InputError(
            f"{reference[:80]!r} names no version of a prompt. Write NAME@NUMBER, such as "
            f"{name[:60] or 'translate'}@1, or the name alone for the newest.",
            param="prompt",
        )
    return name, int(found[1])


def _unknown(name: str, known: Sequence[str]) -> NotFoundError:
    hint = "There are none yet. Make one: kataribe prompts new NAME"
    if known:
        hint = meant(name, known, most=2)
    return NotFoundError(f"There is no prompt {name[:60]!r}. {hint}", param="prompt")
