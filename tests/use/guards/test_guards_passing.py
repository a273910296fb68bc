"""What guards that see nothing let through is what came, however the model gives its events."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

from kataribe.base.lm import Request
from kataribe.base.messages import text_message
from kataribe.run.providers.scripted import Reply, ScriptedLM
from kataribe.use.guards.guard import NOTHING, Verdict
from kataribe.use.guards.guarded import Guarded
from kataribe.use.guards.repetition import Repetition


def asked():
    return Request((text_message("user", "Hello"),))


async def events_of(lm, request):
    return [event async for event in lm.stream(request)]


class Plain:
    """A model whose stream is an iterator that can be closed, and no generator."""

    def __init__(self, inner):
        self.inner, self.closed = inner, 0

    name = property(lambda self: self.inner.name)
    capabilities = property(lambda self: self.inner.capabilities)

    def stream(self, request):
        events = self.inner.stream(request)
        outer = self

        class Events:
            def __aiter__(self):
                return self

            async def __anext__(self):
                return await anext(events)

            async def aclose(self):
                outer.closed += 1
                await events.aclose()

        return Events()


async def test_an_iterator_goes_through_as_a_generator_does_and_is_closed():
    reply = Reply("One, two, three, four.")
    plain = Plain(ScriptedLM(reply))
    guards = [Repetition()]
    found = await events_of(Guarded(plain, guards), asked())
    assert found == await events_of(Guarded(ScriptedLM(reply), guards), asked())
    assert plain.closed == 1
    async with aclosing(Guarded(plain, guards).stream(asked())) as events:
        await anext(events)
    assert plain.closed == 2


@dataclass(frozen=True)
class Silent:
    """Sees nothing; `shared` says so with the verdict that all share, else with one of its own."""

    shared: bool
    name: str = "silent"
    about: str = "Sees nothing."
    holds: str = "nothing"
    reads_reasoning: bool = True

    def watch(self, request):
        return self

    def push(self, text, tokens):
        return NOTHING if self.shared else Verdict()

    def finish(self, reason, *, calls):
        return NOTHING if self.shared else Verdict()


async def test_the_shared_verdict_means_what_a_fresh_one_means():
    reply = Reply("Some words, and more of them.", reasoning="First a thought.")
    found = [
        await events_of(Guarded(ScriptedLM(reply), [Silent(shared)]), asked())
        for shared in (True, False)
    ]
    assert found[0] == found[1]
    assert Verdict() == NOTHING
