"""A hosted model as an `LM`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from kataribe.base.abilities import check_abilities
from kataribe.base.errors import InputError, KataribeError, NotFoundError, ProviderError
from kataribe.base.events import Event, Finished, Usage
from kataribe.base.lm import LEAVABLE, Capabilities, Request
from kataribe.base.references import parse_reference
from kataribe.run.providers import (
    anthropic_wire,
    chat_wire,
    gemini_wire,
    prices,
    responses_wire,
)
from kataribe.run.providers.connections import Connections, Patience
from kataribe.run.providers.hosts import Host, WireName, find_host, find_key, key_source
from kataribe.run.providers.merging import merged
from kataribe.run.providers.sending import OutOfTimeError, Parcel, scrub, server_events
from kataribe.run.providers.sse import ServerEvent
from kataribe.run.providers.wires import Asked, Wire, check_carried, read_safely

UNKNOWN_CONTEXT = 2**31 - 1
"""Where nobody knows the context's length; the host itself says when a prompt is too long."""

_LAST_WORD = 0.25
"""Seconds for the end of an answer whose reply is whole: its connection can then be used again."""

PATIENCE = Patience()


def wire_of(name: WireName) -> Wire:
    """The wire of that name."""
    match name:
        case "chat":
            return chat_wire.wire()
        case "responses":
            return responses_wire.wire()
        case "anthropic":
            return anthropic_wire.wire()
        case "gemini":
            return gemini_wire.wire()


def open_hosted(
    reference: str,
    hosts: Mapping[str, Host],
    environ: Mapping[str, str],
    *,
    patience: Patience = PATIENCE,
    connections: Connections | None = None,
) -> HostedLM:
    """The model that `NAME:model` means, at one of `hosts` (`parse_hosts` gives them).

    Raises `NotFoundError` for an unknown host, with near names, and `AccessError` for a missing
    key, naming the variable of `environ` that should hold it. Nothing is sent yet.
    """
    found = parse_reference(reference)
    if found.provider is None:
        raise NotFoundError(
            f"{reference!r:.120} names no host of models. Write it as HOST:MODEL, such as "
            f"openai:{found.name:.80}.",
            param="model",
        )
    host = find_host(found.provider, hosts)
    key = find_key(host, environ)
    return HostedLM(host, found.name, key=key, patience=patience, connections=connections)


class HostedLM:
    """A model at a host. Its key shows nowhere: in no error, log, address or `repr`."""

    def __init__(
        self,
        host: Host,
        model: str,
        *,
        key: str | None = None,
        name: str | None = None,
        patience: Patience = PATIENCE,
        connections: Connections | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            host: Where it is.
            model: What the host calls it.
            key: What the host wants to see.
            name: The name it is asked for by; `HOST:MODEL` when absent.
            patience: How long the host is waited for, and how often.
            connections: Kept open between requests; each has its own when absent.
        """
        if any(part in ("", ".", "..") for part in model.split("/")):
            raise InputError(f"{model!r:.120} cannot be a model's name.", param="model")
        self._host = host
        self._model = model
        self._key = key
        self._name = name or f"{host.name}:{model}"
        self._patience = patience
        self._connections = connections
        self._wire = wire_of(host.wire)
        self._priced = prices.Priced(host.prices, host.address, model)

    def __repr__(self) -> str:
        return f"HostedLM({self._name!r} at {self._host.address})"

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._name

    @property
    def host(self) -> Host:
        """Where it is."""
        return self._host

    @functools.cached_property
    def carries(self) -> frozenset[str]:
        """The fields of a request that this host has a place for."""
        manner = self._host.manner
        return (self._wire.carries | manner.adds) - manner.lacks

    @functools.cached_property
    def capabilities(self) -> Capabilities:
        """What its host's API can do; what this one model cannot, the host itself refuses."""
        able = self.carries
        return Capabilities(
            context_length=prices.context_length(self._priced) or UNKNOWN_CONTEXT,
            tools="tools" in able,
            images="images" in able,
            audio="audio" in able,
            logprobs="logprobs" in able,
            structured_output="json_schema" in able,
            verbosity="verbosity" in able,
            location="hosted",
            lacks=LEAVABLE - able,
        )

    def cost(self, choices: Sequence[Finished]) -> float | None:
        """US dollars for all choices of one request together; None where nobody knows.

        A host that gives several choices at once reads, and bills, the prompt once for all. Where
        each choice was a request of its own, each paid for the prompt.
        """
        usages = [choice.usage for choice in choices]
        if len(usages) > 1 and "n" in self.carries:
            said = sum(usage.completion_tokens for usage in usages)
            usages = [dataclasses.replace(usages[0], completion_tokens=said)]
        costs = [self.price(usage) for usage in usages]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known and len(known) == len(costs) else None

    def price(self, usage: Usage) -> float | None:
        """US dollars for the tokens of one call; None where nobody knows."""
        return prices.cost(self._priced, usage)

    async def stream(self, request: Request) -> AsyncGenerator[Event]:
        """The host's reply as it comes; closing the iterator closes the connection.

        Several choices where the API gives but one: as many requests at once, each with its own
        seed when there is one.
        """
        check_abilities(self._name, self.capabilities, request)
        check_carried(Asked(self._name, self._model, request), self.carries | {"n"})
        if request.n == 1 or "n" in self.carries:
            streams = self._one(request)
        else:
            streams = merged([self._one(_choice(request, place)) for place in range(request.n)])
        async with aclosing(streams) as events:
            async for event in events:
                yield event

    async def _one(self, request: Request) -> AsyncGenerator[Event]:
        asked = Asked(self._name, self._model, request, self._host.manner)
        parcel = self._parcel(asked)
        reader = self._wire.reader(asked)
        try:
            async with aclosing(server_events(parcel, self._patience, self._connections)) as events:
                async for event in events:
                    for said in read_safely(reader, event, self._name):
                        yield said
                    if reader.done:
                        break
                await _finish(events)
            closing = reader.end()
        except OutOfTimeError:
            closing = reader.cut("deadline", "The request's time was over.")
        except KataribeError as error:
            scrub(error, self._key)
            raise
        for said in closing:
            yield said

    def _parcel(self, asked: Asked) -> Parcel:
        letter = self._wire.write(asked)
        return Parcel(
            self._name,
            self._host.address,
            letter.path,
            letter.body,
            {**letter.headers, **self._wire.headers(self._key)},
            deadline=asked.request.context.deadline,
            key_from=key_source(self._host),
            secret=self._key,
        )


def _choice(request: Request, place: int) -> Request:
    """The request for one of several choices: the same seed would give the same words again."""
    seed = None if request.seed is None else request.seed + place
    return dataclasses.replace(request, n=1, seed=seed)


async def _finish(events: AsyncIterator[ServerEvent]) -> None:
    """Lets the answer end by itself; what goes wrong now takes nothing from the reply."""
    with contextlib.suppress(ProviderError, TimeoutError, OutOfTimeError):
        async with asyncio.timeout(_LAST_WORD):
            await anext(events, None)
