"""An `LM` around an `LM`: whatever wraps a model can be asked, served and measured like one."""

from collections.abc import AsyncIterator

from kataribe.base.events import Event, TextDelta
from kataribe.base.lm import LM, Capabilities, Request, ask
from kataribe.base.messages import text_of
from kataribe.run.providers.scripted import ScriptedLM


class Counting:
    """Counts the characters that pass."""

    def __init__(self, inner: LM) -> None:
        self.inner = inner
        self.characters = 0

    @property
    def name(self) -> str:
        return f"counted {self.inner.name}"

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        async for event in self.inner.stream(request):
            if isinstance(event, TextDelta):
                self.characters += len(event.text)
            yield event


if __name__ == "__main__":
    counted = Counting(ScriptedLM("Once upon a time there was a teller of tales."))
    print(text_of(ask(counted, "Tell me a tale.").message))
    print(f"{counted.characters} characters passed through {counted.name}.")
