"""What is done to each text on its own: normalise, tell the language, filter, sign."""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.make.text.choices import CorpusChoices
from kataribe.make.text.document import CODE, Document, to_line
from kataribe.make.text.facts import Facts
from kataribe.make.text.filters import Filter, first_that_drops
from kataribe.make.text.languages import language_of
from kataribe.make.text.normalise import normalise
from kataribe.make.text.raw import Raw
from kataribe.make.text.signatures import Signature, signature
from kataribe.make.text.spill import digest_of


@dataclass(frozen=True, slots=True)
class Kept:
    """A text that goes on."""

    document: Document
    """The document."""
    line: bytes
    """Its line of JSON."""
    digest: bytes
    """16 bytes of hash of its comparable form."""
    signature: Signature
    """`(128,)`."""
    changed: tuple[str, ...]
    """The normalisations that changed it."""
    whole: str = ""
    """The id of the long text that it is a piece of; empty for a whole text."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A text that is dropped."""

    document: Document
    """The document."""
    name: str
    """The filter's name, `language` or `empty`."""
    reason: str
    """Why, with the limit."""


def prepare(raw: Raw, choices: CorpusChoices, filters: tuple[Filter, ...]) -> Kept | Gone:
    """One text through everything that needs no other text."""
    text, changed = normalise(raw.text, choices.normal, code=raw.code)
    told = raw.language or (CODE if raw.code else language_of(text))
    document = Document(raw.id, text, raw.source, told)
    if choices.languages and told not in choices.languages:
        return Gone(document, "language", f"not in {', '.join(choices.languages)}")
    facts = Facts(text, told)
    if not facts.compared:
        return Gone(document, "empty", "nothing but white space")
    found = first_that_drops(facts, filters)
    if found is not None:
        return Gone(document, found.name, found.reason)
    return Kept(
        document,
        to_line(document),
        digest_of(facts.compared),
        signature(facts.codes),
        changed,
        raw.whole,
    )
