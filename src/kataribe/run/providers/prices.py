"""What hosted models cost and how much they hold, by the data of `genai-prices`.

The data come with the package and are as old as it is; nothing is fetched.
"""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.base.events import Usage
from kataribe.run.providers.connections import is_loopback


@dataclass(frozen=True, slots=True)
class Priced:
    """Where a model's price is looked up.

    Attributes:
        provider: The provider's name in `genai-prices`; None looks it up by the address.
        address: The host's address.
        model: The model by its host's name.
    """

    provider: str | None
    address: str
    model: str


def cost(priced: Priced, usage: Usage) -> float | None:
    """US dollars for one request; None where nobody knows.

    Cached tokens and those written to a cache count at their own price. A prompt of no tokens was
    never told, so its price is unknown.
    """
    if usage.prompt_tokens <= 0 or _is_nobodys(priced):
        return None
    import genai_prices

    cached = min(usage.cached_tokens, usage.prompt_tokens)
    used = genai_prices.Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=cached,
        # What was written beyond the prompt's own tokens is a host's rounding.
        cache_write_tokens=min(usage.cache_write_tokens, usage.prompt_tokens - cached),
    )
    try:
        if priced.provider is not None:
            price = genai_prices.calc_price(used, priced.model, provider_id=priced.provider)
        else:
            price = genai_prices.calc_price(used, priced.model, provider_api_url=priced.address)
    except LookupError:
        return None
    return float(price.total_price)


def context_length(priced: Priced) -> int | None:
    """Tokens of prompt and reply together; None where nobody knows."""
    if _is_nobodys(priced):
        return None
    from genai_prices import data_snapshot

    address = priced.address if priced.provider is None else None
    try:
        _, model = data_snapshot.get_snapshot().find_provider_model(
            priced.model, None, priced.provider, address
        )
    except LookupError:
        return None
    return model.context_window


def _is_nobodys(priced: Priced) -> bool:
    """A server of this machine is in no list; the data, which take a while, are not looked at."""
    return priced.provider is None and is_loopback(priced.address)
