"""A model as a tool, a classifier as a tool, documents, and Python."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence

import pytest

from kataribe.base.encoders import Classification, Label
from kataribe.base.errors import InputError, KataribeError
from kataribe.base.lm import Sampling
from kataribe.base.messages import ToolCallPart, text_of
from kataribe.base.tool_calls import call_tool
from kataribe.run.providers.scripted import ScriptedLM
from kataribe.sandbox.limits import Limits
from kataribe.sandbox.session import Setup
from kataribe.use.agents.tools.documents import document_search_tool
from kataribe.use.agents.tools.models import classifier_tool, lm_tool
from kataribe.use.agents.tools.python import PythonTool
from kataribe.use.prompts.retrieval import Passage

needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (make system)"
)


async def test_another_model_is_asked():
    lm = ScriptedLM(["四十二"])
    tool = lm_tool(
        lm,
        name="translator",
        description="Translates into Japanese.",
        system="Translate.",
        sampling=Sampling(temperature=0),
    )
    assert tool.spec.description == "Translates into Japanese."
    assert await tool.call({"question": "42"}) == "四十二"
    [request] = lm.requests
    assert [(m.role, text_of(m)) for m in request.prompt] == [
        ("system", "Translate."),
        ("user", "42"),
    ]
    assert request.sampling.temperature == 0
    with pytest.raises(InputError, match="empty"):
        await tool.call({"question": " "})


async def test_a_cut_reply_says_so():
    lm = ScriptedLM(["a long reply"])
    tool = lm_tool(lm, name="m", description="", sampling=Sampling(max_tokens=3))
    assert await tool.call({"question": "q"}) == "a l\n[The reply ended early: length.]"


async def test_a_model_that_fails():
    lm = ScriptedLM([KataribeError("out of order")])
    result = await call_tool(
        [lm_tool(lm, name="m", description="")], ToolCallPart("1", "m", '{"question": "q"}')
    )
    assert result.is_error
    assert "out of order" in result.content


class Moods:
    """Says which of three words a text has; a plain classifier for these tests."""

    name = "moods"
    labels = ("glad", "sad", "calm", "angry")
    tags = False

    async def classify(self, texts: Sequence[str]) -> Classification:
        rows = tuple(
            tuple(Label(name, 0.91 if name in text else 0.03) for name in self.labels)
            for text in texts
        )
        return Classification(rows, 3)


class Cities:
    """Finds the word Nara."""

    name = "cities"
    labels = ("CITY",)
    tags = True

    async def classify(self, texts: Sequence[str]) -> Classification:
        rows = []
        for text in texts:
            at = text.find("Nara")
            rows.append((Label("CITY", 0.9, at, at + 4),) if at >= 0 else ())
        return Classification(tuple(rows), 3)


async def test_a_classifier_is_asked():
    tool = classifier_tool(Moods().classify, name="mood", description="Tells the mood.")
    told = await tool.call({"texts": ["I am sad", "so calm"]})
    assert told == "1. sad 0.910, glad 0.030, calm 0.030\n2. calm 0.910, glad 0.030, sad 0.030"
    tagger = classifier_tool(Cities().classify, name="cities", description="Finds cities.")
    assert await tagger.call({"texts": ["To Nara!", "home"]}) == "1. 'Nara' is CITY\n2. nothing"
    with pytest.raises(InputError, match="1 to 100"):
        await tool.call({"texts": []})


async def test_documents_are_searched():
    asked = []

    async def search(query, most):
        asked.append((query, most))
        return [Passage("The wave.", "art.pdf p. 3"), Passage("The sea.", "sea.md")]

    tool = document_search_tool(search, about="the museum's catalogue")
    assert tool.spec.description.startswith("Searches the museum's catalogue and")
    assert await tool.call({"query": "wave", "passages": 1}) == "[1] art.pdf p. 3\nThe wave."
    assert asked == [("wave", 1)]
    for bad in ({"query": ""}, {"query": "x", "passages": 0}, {"query": "x", "passages": 21}):
        with pytest.raises(InputError):
            await tool.call(bad)


@pytest.fixture
def python():
    limits = Limits(cpu_seconds=2, wall_seconds=5, output_bytes=100_000)
    tool = PythonTool(Setup(limits=limits))
    yield tool
    tool.close()


@needs_bwrap
async def test_python_runs_and_remembers(python):
    tool = python.tool
    assert "2 s of processor time" in tool.spec.description
    assert await tool.call({"code": "x = 20"}) == "Done; nothing was printed."
    told = await tool.call({"code": "print('a')\nopen('f.txt', 'w').write('hi')\nx * 2 + 2"})
    assert told == "printed:\na\nvalue: 42\nfiles: f.txt (2 bytes)"
    told = await tool.call({"code": "x / 0"})
    assert told.endswith("ZeroDivisionError: division by zero")
    assert "value: 20" in await tool.call({"code": "x"})


@needs_bwrap
async def test_python_that_goes_on_for_ever(python):
    told = await python.tool.call({"code": "x = 1\nwhile True: pass"})
    assert "was stopped: 2." in told
    assert "All variables are gone" in told
    assert "NameError" in await python.tool.call({"code": "x"})


@needs_bwrap
async def test_python_that_prints_for_ever(python):
    call = ToolCallPart("1", "run_python", '{"code": "while True: print(\'x\' * 1000)"}')
    result = await call_tool([python.tool], call)
    assert "it printed more than 100000 bytes" in result.content
    assert len(result.content) < 21_000


@needs_bwrap
async def test_cancelling_stops_python(python):
    running = asyncio.create_task(python.tool.call({"code": "while True: pass"}))
    await asyncio.sleep(0.3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "value: 3" in await python.tool.call({"code": "1 + 2"})


@needs_bwrap
async def test_closing_and_beginning_again(python):
    await python.tool.call({"code": "x = 1"})
    folder = python.session().folder
    python.close()
    assert not folder.exists()
    assert "NameError" in await python.tool.call({"code": "x"})
