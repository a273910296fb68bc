"""What to expect of a model here, in sentences: for the command line and for the studio."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kataribe.base.amounts import memory_words
from kataribe.cli.output import size

if TYPE_CHECKING:
    from kataribe.run.catalog.fit import Fit, Observed
    from kataribe.run.catalog.memory import MemoryEstimate

_VERDICTS = {
    "fits": "fits",
    "fits_with_less_context": "fits with less context",
    "does_not_fit": "does not fit",
    "unknown": "nobody knows before the download",
}


def fit_words(found: Fit) -> list[str]:
    """The verdict first, then a line for each thing; what belongs to one is indented below it."""
    return list(_lines(found))


def _lines(found: Fit) -> Iterator[str]:
    yield f"{found.name} {_VERDICTS[found.verdict]}. {found.reason}"
    if found.download:
        yield f"download  {size(found.download)}, {size(found.disk_free)} free"
    if found.memory is not None:
        yield from _memory(found, found.memory)
    if found.prefill is not None and found.decode is not None:
        yield f"speed     about {found.prefill:.0f} tokens/s read, {found.decode:.0f} written"
    if found.observed is not None:
        yield from _observed(found.observed)


def _memory(found: Fit, one: MemoryEstimate) -> Iterator[str]:
    """What must be free, by its parts, and what is only borrowed beside it."""
    running = one.kv_cache + one.activations >= one.loading
    unmet = ("mapped", "loading") if running else ("mapped", "kv_cache", "activations")
    parts = ", ".join(
        f"{'program' if part == 'runtime' else part.replace('_', ' ')} {memory_words(count)}"
        for part, count in one.parts().items()
        if count and part not in unmet
    )
    yield (
        f"memory    {memory_words(one.needed)} needed with one full context of {found.ctx:,} "
        f"tokens ({parts})"
    )
    yield (
        "          by the process of `kataribe up`; where chat templates are rendered, a child of "
        "it takes 20 MiB more"
    )
    if found.full is not None and found.cache_tokens > found.ctx:
        yield (
            f"          {memory_words(found.full.needed)} needed when several replies have filled "
            f"the cache of {found.cache_tokens:,} tokens"
        )
    if one.total > one.needed:
        yield (
            f"          while it loads the system shows {memory_words(one.total)}: "
            f"{memory_words(one.total - one.needed)} more are pages of its file, which the system "
            "takes back when it needs them"
        )


def _observed(seen: Observed) -> Iterator[str]:
    yield (
        f"last run  predicted {size(seen.predicted_bytes)}, measured {size(seen.run.peak_bytes)}"
        f" ({seen.memory_off:+.0%}), {seen.run.cache_tokens:,} tokens in the cache"
    )
    for what, measured, off in (
        ("read", seen.run.prefill, seen.prefill_off),
        ("written", seen.run.decode, seen.decode_off),
    ):
        if measured is not None and off is not None:
            yield (
                f"          predicted {measured * (1 + off):.0f} tokens/s {what}, "
                f"measured {measured:.0f} ({off:+.0%})"
            )
