"""The options of `kataribe corpus make`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from kataribe.cli import options as shared

Json: TypeAlias = shared.Json
Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="What to call the corpus.")]
Sources: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SOURCE...]",
        help="Files, folders, archives, stdlib, debian:PACKAGE or "
        "hf:OWNER/NAME[:CONFIG][@SPLIT][#COLUMN] (a data set of the hub; CONFIG as its page or its "
        "folders have it, SPLIT is train and COLUMN is --field if not said) [default: stdlib].",
    ),
]
Field: TypeAlias = Annotated[
    str, typer.Option("--field", help="Field of JSON lines, column of Parquet with the text.")
]
Language: TypeAlias = Annotated[
    str, typer.Option("--language", help="Languages to keep, such as ja,en,code [default: all].")
]
Unicode: TypeAlias = Annotated[
    str,
    typer.Option("--unicode", help="none, nfc, or nfkc, which makes ① a 1 and ｶﾅ full-width."),
]
FilterOff: TypeAlias = Annotated[
    str, typer.Option("--filter-off", help="Quality filters to leave out, by name, or all.")
]
Near: TypeAlias = Annotated[
    float, typer.Option("--near", help="Similarity from which texts are near duplicates.")
]
KeepDuplicates: TypeAlias = Annotated[
    bool, typer.Option("--keep-duplicates", help="Drop no duplicates.")
]
Valid: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--valid", help="A validation set of your own, instead of splitting one off."),
]
ValidShare: TypeAlias = Annotated[
    float, typer.Option("--valid-share", help="Share of documents to split off, at most 10 MB.")
]
Megabytes: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--megabytes", help="Stop after so many MB of kept text, from all sources evenly."
    ),
]
Replace: TypeAlias = Annotated[
    bool, typer.Option("--replace", help="Replace a corpus of this name.")
]
