"""`kataribe models fit`: will it run here, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.run.catalog.fit import Fit, Observed
    from kataribe.run.catalog.memory import MemoryEstimate


def fit(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")],
    ctx: options.Context = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, float32, bfloat16, int8 or int4.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say what memory, disk and speed to expect here, before the download.

    After a run it also says how far off that was. Ends with code 1 when the model does not fit.
    """
    import dataclasses

    from kataribe.base.settings import load_settings
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import emit_json
    from kataribe.cli.shelf import computes_natively
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.run.catalog.fit import Wish

    settings = load_settings(ctx=ctx, precision=precision)
    budget = None if settings.memory is None else int(settings.memory * 2**30)
    wish = Wish(settings.precision, settings.ctx, budget, native=computes_natively(settings))
    found = Catalog(Workspace.locate()).fit(name, wish)
    if as_json:
        told = dataclasses.asdict(found)
        for key, estimate in (("memory", found.memory), ("full", found.full)):
            if estimate is not None:
                told[key] |= {"needed": estimate.needed, "total": estimate.total}
        emit_json(told)
    else:
        _print(found)
    if found.verdict == "does_not_fit":
        raise typer.Exit(1)


_VERDICTS = {
    "fits": "fits",
    "fits_with_less_context": "fits with less context",
    "does_not_fit": "does not fit",
    "unknown": "nobody knows before the download",
}


def _print(found: Fit) -> None:
    from kataribe.cli.output import say, size

    say(f"{found.name} {_VERDICTS[found.verdict]}. {found.reason}")
    if found.download:
        say(f"download  {size(found.download)}, {size(found.disk_free)} free")
    if found.memory is not None:
        _print_memory(found, found.memory)
    if found.prefill is not None and found.decode is not None:
        say(f"speed     about {found.prefill:.0f} tokens/s read, {found.decode:.0f} written")
    if found.observed is not None:
        _print_observed(found.observed)


def _print_memory(found: Fit, one: MemoryEstimate) -> None:
    """What must be free, by its parts, and what is only borrowed beside it."""
    from kataribe.base.amounts import memory_words
    from kataribe.cli.output import say

    running = one.kv_cache + one.activations >= one.loading
    unmet = ("mapped", "loading") if running else ("mapped", "kv_cache", "activations")
    parts = ", ".join(
        f"{'program' if part == 'runtime' else part.replace('_', ' ')} {memory_words(count)}"
        for part, count in one.parts().items()
        if count and part not in unmet
    )
    say(
        f"memory    {memory_words(one.needed)} needed with one full context of {found.ctx:,} "
        f"tokens ({parts})"
    )
    if found.full is not None and found.cache_tokens > found.ctx:
        say(
            f"          {memory_words(found.full.needed)} needed when several replies have filled "
            f"the cache of {found.cache_tokens:,} tokens"
        )
    if one.total > one.needed:
        say(
            f"          while it loads the system shows {memory_words(one.total)}: "
            f"{memory_words(one.total - one.needed)} more are pages of its file, which the system "
            "takes back when it needs them"
        )


def _print_observed(seen: Observed) -> None:
    from kataribe.cli.output import say, size

    say(
        f"last run  predicted {size(seen.predicted_bytes)}, measured {size(seen.run.peak_bytes)}"
        f" ({seen.memory_off:+.0%}), {seen.run.cache_tokens:,} tokens in the cache"
    )
    for what, measured, off in (
        ("read", seen.run.prefill, seen.prefill_off),
        ("written", seen.run.decode, seen.decode_off),
    ):
        if measured is not None and off is not None:
            say(
                f"          predicted {measured * (1 + off):.0f} tokens/s {what}, "
                f"measured {measured:.0f} ({off:+.0%})"
            )
