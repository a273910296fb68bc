"""`kataribe corpus make`: sources to a corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kataribe.cli.corpus import make_options as options

if TYPE_CHECKING:
    from kataribe.make.text import Corpus


def make(
    name: options.Name,
    sources: options.Sources = None,
    field: options.Field = "text",
    language: options.Language = "",
    unicode: options.Unicode = "nfc",
    filter_off: options.FilterOff = "",
    near: options.Near = 0.8,
    keep_duplicates: options.KeepDuplicates = False,
    valid: options.Valid = None,
    valid_share: options.ValidShare = 0.05,
    megabytes: options.Megabytes = None,
    replace: options.Replace = False,
    as_json: options.Json = False,
) -> None:
    """Make a corpus: read, normalise, filter, remove duplicates, split off validation text."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.corpus.progress import CorpusBar
    from kataribe.cli.output import emit_json
    from kataribe.make.text import CorpusChoices, Normal, make_corpus
    from kataribe.make.text.corpus import check_name

    workspace = Workspace.locate()
    given: dict[str, Any] = {"sources": tuple(sources)} if sources else {}
    choices = CorpusChoices(
        **given,
        field=field,
        languages=_split(language),
        normal=Normal(unicode=unicode),  # type: ignore[arg-type] # it checks the value itself
        filters_off=_split(filter_off),
        near=near,
        keep_duplicates=keep_duplicates,
        valid=tuple(valid or ()),
        valid_share=valid_share,
        most_bytes=None if megabytes is None else int(megabytes * 1e6),
        cache=workspace.downloads / "text",
    )
    with CorpusBar(name) as bar:
        corpus = make_corpus(
            choices, workspace.corpora / check_name(name), bar, replace_old=replace
        )
    if as_json:
        emit_json(corpus.card)
    else:
        _tell(name, corpus)


def _split(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",") if word.strip())


def _tell(name: str, corpus: Corpus) -> None:
    from kataribe.cli.corpus.words import encodings_line, kept_lines, unread_line
    from kataribe.cli.output import note, say

    card = corpus.card
    say(f"{name} is here: {corpus.path}")
    for line in kept_lines(card):
        say(line)
    if (unusual := encodings_line(card)) is not None:
        note(unusual)
    if (unread := unread_line(card)) is not None:
        note(unread)
    gone = sum(each["documents"] for each in card["dropped"].values())
    skipped = sum(each["count"] for each in card["read"]["skipped"].values())
    if gone or skipped:
        note(
            f"Dropped {gone} texts and passed over {skipped} files, records or places; "
            f"`kataribe corpus show {name}` says which and why."
        )
