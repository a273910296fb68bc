"""`kataribe export`: a model in the form that other programs open, checked against its origin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.cli.exporting import Export, Exported, Form, Order

_KIND = re.compile(r"[.-](f32|f16|bf16|q8_0|q4_0)\.gguf$", re.IGNORECASE)


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, its folder or its GGUF file.")
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A file that ends in .gguf, or a folder.")
    ],
    to: Annotated[
        str | None, typer.Option("--to", help="gguf or folder [default: by TARGET's ending].")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="Of the weights: f32, f16, bf16, and for gguf q8_0 and q4_0 [default: by "
            "TARGET's name (model.q4_0.gguf), else q8_0 for gguf and f32 for a folder].",
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option("--texts", help="Texts to compare on: .jsonl with text, or paragraphs."),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace an earlier export at TARGET, if all goes well."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Write a model as a GGUF file (for llama.cpp) or a Hugging Face folder (for transformers).

    What was written is opened again and compared with its origin: token ids, and the
    distributions of next tokens. Beyond the limits nothing is kept, and the command fails.
    """
    from kataribe.cli.exporting import Export
    from kataribe.cli.output import Waiting, emit_json, note, size

    order = _order(model, target, to, kind, texts=texts, replace=replace)
    planned = Export(order)
    free = planned.check_room()
    note(f"{target} will take about {size(planned.size)}; {size(free)} are free.")
    with Waiting() as waiting:
        done = planned.run(waiting.show)
    if as_json:
        emit_json(_told(planned, done))
    else:
        _show(planned, done)


def _order(
    model: str, target: Path, to: str | None, kind: str | None, *, texts: Path | None, replace: bool
) -> Order:
    from kataribe.cli.exporting import DEFAULT_KIND, Order
    from kataribe.cli.exporting_texts import read_texts

    form = _form(target, to)
    named = _KIND.search(target.name)
    chosen = kind or (named[1] if named and form == "gguf" else DEFAULT_KIND[form])
    source, name = _find(model)
    return Order(
        source=source,
        name=name,
        target=target,
        form=form,
        kind=chosen.upper(),
        replace=replace,
        texts=read_texts(texts) if texts is not None else (),
    )


def _form(target: Path, to: str | None) -> Form:
    from kataribe.base.errors import InputError
    from kataribe.cli.exporting import FORMS

    if to is None:
        return "gguf" if target.suffix.lower() == ".gguf" else "folder"
    for form in FORMS:
        if to == form:
            return form
    raise InputError(f"A model cannot be exported to {to!r}; choose {' or '.join(FORMS)}.")


def _find(model: str) -> tuple[Path, str]:
    """Where the model lies, and its name."""
    path = Path(model).expanduser()
    if path.suffix.lower() == ".gguf" or (path / "config.json").is_file():
        return path, path.stem if path.is_file() else path.resolve().name
    from kataribe.base.workspace import Workspace
    from kataribe.run.catalog.catalog import Catalog

    catalog = Catalog(Workspace.locate())
    return catalog.path_of(model), catalog.resolve(model)


def _told(planned: Export, done: Exported) -> dict[str, Any]:
    order, checked = planned.order, done.checked
    return {
        "target": str(order.target),
        "form": order.form,
        "kind": order.kind.lower(),
        "bytes": done.size,
        "ids_compared": done.ids,
        "pieces_compared": done.pieces,
        "tensors_compared": done.tensors.tensors,
        "numbers_compared": done.tensors.values,
        "tensor_error": done.tensors.error,
        "tensor_error_of": done.tensors.worst,
        "rounding_used": done.tensors.nearest,
        "tokens_compared": checked.tokens,
        "divergence": checked.divergence,
        "divergence_limit": checked.limit.divergence,
        "worst_divergence": checked.worst_divergence,
        "same_next_token": checked.agreement,
        "other_next_tokens": checked.other_tokens,
        "other_next_tokens_limit": 0 if checked.limit.same_tokens else None,
        "notes": list(done.notes),
    }


def _show(planned: Export, done: Exported) -> None:
    from kataribe.cli.output import note, say, size, table

    checked, tensors = done.checked, done.tensors
    say(f"{planned.order.target}: {planned.order.kind.lower()}, {size(done.size)}")
    tokens = checked.tokens
    rows = [
        ("tensors, all compared", f"{tensors.tensors:,}", "all"),
        ("numbers, of the rounding allowed", f"{tensors.nearest:.1%} at most", "100%"),
        (f"error of a tensor ({tensors.worst})", f"{tensors.error:.3%}", "-"),
        ("pieces of the vocabulary", f"{done.pieces:,} the same", "all"),
        ("token ids", f"{done.ids:,} the same", "all"),
        ("mean divergence (nats)", f"{checked.divergence:.3g}", f"{checked.limit.divergence:g}"),
        ("worst divergence (nats)", f"{checked.worst_divergence:.3g}", "-"),
        ("same next token", f"{checked.agreement:.2%} of {tokens}", "-"),
        (
            "other next token, ties left out",
            f"{checked.other_tokens} of {tokens}",
            "0" if checked.limit.same_tokens else "-",
        ),
    ]
    table(("CHECK", "MEASURED", "LIMIT"), rows)
    for each in done.notes:
        note(each)
