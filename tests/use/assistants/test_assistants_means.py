"""Other models, classifiers and documents as tools of an assistant, and what it knows."""

from __future__ import annotations

import pwd
import re
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lending import Shelf, around, end, question, scripted, steps, told

from kataribe.base.encoders import Classification, Embedding, Label
from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.base.events import Citation
from kataribe.base.lm import Capabilities, Context
from kataribe.base.messages import ToolResultPart, text_of
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from kataribe.use.assistants import means
from kataribe.use.assistants.book import Book
from kataribe.use.assistants.looking import look
from kataribe.use.assistants.recipe import read_recipe, recipe_of, written
from kataribe.use.assistants.rewriting import rewritten
from kataribe.use.prompts.passages import files_in

NO_TOOLS = Capabilities(context_length=4096)


def results(lm: ScriptedLM) -> list[str]:
    """What tools said, as the last request has it."""
    parts = [part for message in lm.requests[-1].prompt for part in message.parts]
    return [part.content for part in parts if isinstance(part, ToolResultPart)]


def asking(name: str, **arguments: Any) -> list[Any]:
    return [Reply(calls=(Call(name, arguments),)), "Done."]


CODER = {"name": "model", "options": {"model": "coder", "about": "Writes code."}}


async def test_another_model_is_asked_through_the_same_lending(tmp_path: Path) -> None:
    lm, coder = scripted(asking("ask_coder", question="Sort?")), scripted("sorted(x)", "coder")
    there = Shelf(plain=lm, coder=coder)
    recipe = {"tools": [CODER], "system": "Be brief."}
    events = await told(recipe, around(there, tmp_path), question("?"))
    assert text_of(end(events).message) == "Done."
    assert results(lm) == ["sorted(x)"]
    assert [text_of(message) for message in coder.requests[0].prompt] == ["Sort?"]
    assert (
        lm.requests[0].tools[0].description == "Asks coder: Writes code. It sees only the question."
    )
    assert there.out == 0


async def test_its_name_system_text_and_line_can_be_given(tmp_path: Path) -> None:
    lm, coder = scripted(asking("helper", question="?")), scripted("x", "coder")
    options = {"model": "openai:gpt-5/x", "name": "helper", "system": "Only code."}
    there = around(Shelf(plain=lm, **{"openai:gpt-5/x": coder}), tmp_path, about=lambda _: "Codes.")
    await told({"tools": [{"name": "model", "options": options}]}, there, question("?"))
    assert [text_of(message) for message in coder.requests[0].prompt] == ["Only code.", "?"]
    (spec,) = lm.requests[0].tools
    assert (spec.name, spec.description) == (
        "helper", "Asks openai:gpt-5/x: Codes. It sees only the question."
    )  # fmt: skip
    del options["name"]
    lm = scripted("x")
    there = around(Shelf(plain=lm), tmp_path)
    await told({"tools": [{"name": "model", "options": options}]}, there, question("?"))
    assert lm.requests[0].tools[0].name == "ask_gpt-5_x"


async def test_a_model_that_is_not_there_is_told_to_the_one_that_asks(tmp_path: Path) -> None:
    lm = scripted(asking("ask_coder", question="?"))
    await told({"tools": [CODER]}, around(Shelf(plain=lm), tmp_path), question("?"))
    assert "There is no model 'coder'" in results(lm)[0]


@pytest.mark.parametrize("native", [True, False])
async def test_it_answers_the_same_person(native: bool, tmp_path: Path) -> None:
    """An assistant that is a tool may remember people: it must not take one for another."""
    if native:
        lm = scripted(asking("ask_coder", question="?"))
    else:
        turn = 'Thought: ask.\nAction: ask_coder\nAction Input: {"question": "?"}'
        lm = scripted([turn, "Final Answer: Done."], capabilities=NO_TOOLS)
    coder = scripted("x", "coder")
    context = Context(user="ann", conversation="c1")
    there = around(Shelf(plain=lm, coder=coder), tmp_path)
    events = await told({"tools": [CODER]}, there, question("?", context=context))
    assert text_of(end(events).message) == "Done."
    assert coder.requests[0].context.user == "ann"
    assert coder.requests[0].context.conversation == "c1"


def test_circles_through_tools_are_found(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.write("b", "model: x\ntools: [{name: model, options: {model: a}}]")
    with pytest.raises(InputError, match="a would ask itself: a -> b -> a"):
        book.write("a", "tools: [{name: model, options: {model: b}}]")
    with pytest.raises(InputError, match="c would ask itself: c -> c"):
        book.write("c", "tools: [{name: model, options: {model: c}}]")
    assert book.write("a", "tools: [{name: model, options: {model: translator}}]").own
    recipe = read_recipe("model: x\ntools: [clock, {name: model, options: {model: y}}]", "r")
    assert (recipe.models(), recipe.asks()) == (("x",), ("x", "y"))


class Moods:
    """Says whether a text has the word sad."""

    name = "moods"
    labels = ("glad", "sad")
    tags = False

    async def classify(self, texts: Sequence[str]) -> Classification:
        rows = [(Label("glad", 0.1), Label("sad", 0.9 if "sad" in each else 0.2)) for each in texts]
        return Classification(tuple(rows), 1)


async def test_a_classifier_is_lent_for_each_call(tmp_path: Path) -> None:
    out: list[str] = []

    @asynccontextmanager
    async def lend(name: str) -> AsyncIterator[Moods]:
        if name != "moods":
            raise NotFoundError(f"There is no model {name!r}.")
        out.append(name)
        yield Moods()
        out.pop()

    lm = scripted(asking("classify_moods", texts=["so sad", "hm"]))
    recipe = {"tools": [{"name": "classifier", "options": {"model": "moods"}}]}
    await told(recipe, around(Shelf(plain=lm), tmp_path, classifiers=lend), question("?"))
    assert results(lm) == ["1. sad 0.900, glad 0.100\n2. sad 0.200, glad 0.100"]
    assert out == []
    with pytest.raises(InputError, match="No models that label can be asked here, so moods cannot"):
        await told(recipe, around(Shelf(plain=lm), tmp_path), question("?"))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "shop.txt").write_text("The shop opens at nine.\n\nBread is two euros.\n")
    (tmp_path / "faq.md").write_text("店は九時に開きます。\n")
    return tmp_path


async def test_documents_under_knowledge_are_searched(docs: Path) -> None:
    recipe = {"knowledge": ["docs", "faq.md"], "tools": ["documents"]}
    for query, answer in (
        ("When does the shop open?", "[1] shop.txt:1\nThe shop opens at nine."),
        ("九時", "[1] faq.md:1\n店は九時に開きます。"),
        ("zebra", "Nothing was found for 'zebra'."),
    ):
        lm = scripted(asking("search_documents", query=query, passages=1))
        await told(recipe, around(Shelf(plain=lm), docs), question("?"))
        assert results(lm) == [answer]


async def test_a_folder_of_its_own_goes_before(docs: Path) -> None:
    more = {"folder": "docs", "name": "search_shop", "about": "what the shop says"}
    recipe = {
        "knowledge": "faq.md",
        "tools": ["documents", {"name": "documents", "options": more}],
    }
    lm = scripted(asking("search_shop", query="九時 bread"))
    await told(recipe, around(Shelf(plain=lm), docs), question("?"))
    assert results(lm) == ["[1] shop.txt:3\nBread is two euros."]
    names = {tool.name: tool.description for tool in lm.requests[0].tools}
    assert set(names) == {"search_documents", "search_shop"}
    assert names["search_shop"].startswith("Searches what the shop says and")


async def test_documents_are_listed_aside_from_the_event_loop(
    docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[int] = []

    def noted(paths: Sequence[Path]) -> Any:
        listed.append(threading.get_ident())
        return files_in(paths)

    monkeypatch.setattr(means, "files_in", noted)
    tools = ["documents", {"name": "documents", "options": {"folder": "docs", "name": "more"}}]
    recipe = {"knowledge": ["faq.md"], "tools": tools}
    await told(recipe, around(Shelf(plain=scripted()), docs), question("?"))
    assert len(listed) == 2
    assert threading.get_ident() not in listed


class Ends:
    """Vectors of the last letter of a text."""

    name = "ends"
    dimensions = 256
    max_tokens = 500
    kinds = ()

    async def embed(self, texts: Sequence[Any], kind: Any = None) -> Embedding:
        del kind
        rows = np.zeros((len(texts), 256), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[ord(text[-1])] = 1
        return Embedding(rows, 1)


async def test_passages_can_be_ordered_by_meaning(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("shop shop x\n\nshop y\n\nshop z\n")
    tool = {"name": "documents", "options": {"folder": "a.txt", "meaning": True}}
    lm = scripted(asking("search_documents", query="shop z", passages=1))
    there = around(Shelf(plain=lm), tmp_path, embedder=Ends())
    await told({"tools": [tool]}, there, question("?"))
    assert results(lm) == ["[1] a.txt:5\nshop z"]
    with pytest.raises(InputError, match="Leave out `meaning`"):
        await told({"tools": [tool]}, around(Shelf(plain=lm), tmp_path), question("?"))


async def test_the_technique_retrieval_answers_from_what_is_known(docs: Path) -> None:
    lm = scripted("At nine [1].")
    recipe = {"knowledge": ["docs"], "technique": {"name": "retrieval", "options": {"most": 1}}}
    events = await told(recipe, around(Shelf(plain=lm), docs), question("Which shop opens?"))
    assert "[1] (shop.txt:1)\nThe shop opens at nine." in text_of(lm.requests[0].prompt[-1])
    assert [each.source for each in events if isinstance(each, Citation)] == ["shop.txt:1"]
    assert steps(events, "found") == ["1 passage: shop.txt:1"]


async def test_examples_are_chosen_by_what_they_mean(tmp_path: Path) -> None:
    examples = [{"question": each, "answer": each.upper()} for each in ("ax", "by", "cz")]
    options = {"examples": examples, "choice": "similar", "count": 1}
    recipe = {"technique": {"name": "few-shot", "options": options}}
    lm = scripted("Z")
    await told(recipe, around(Shelf(plain=lm), tmp_path, embedder=Ends()), question("z"))
    assert [text_of(message) for message in lm.requests[0].prompt] == ["cz", "CZ", "z"]


@pytest.mark.parametrize(
    "folder", ["~nobody-here", "~nobody-here/notes", "notes", ".", "", "..//x"]
)
async def test_a_folder_that_begins_nowhere_is_refused_with_the_way_out(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes").mkdir()
    monkeypatch.chdir(tmp_path)  # it is there, where the program happens to run
    recipe = {"tools": [{"name": "files", "options": {"folder": folder}}]}
    words = rf"the folder {re.escape(repr(folder))}, which is no whole path.*begins with / or"
    with pytest.raises(InputError, match=words):
        await told(recipe, around(Shelf(plain=scripted()), tmp_path), question("?"))
    (problem,) = look(written(recipe_of(recipe, "r")), "r").problems
    assert re.search(words, problem.message)
    assert problem.place == "tools.0"


@pytest.mark.parametrize("tool", ["files", "documents"])
async def test_where_there_is_no_home_a_folder_below_it_is_refused(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: int) -> None:
        raise KeyError("a user without a name")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    recipe = {"tools": [{"name": tool, "options": {"folder": "~/notes"}}]}
    with pytest.raises(InputError, match=r"'~/notes' begins with ~, but .* no home folder"):
        await told(recipe, around(Shelf(plain=scripted()), tmp_path), question("?"))


async def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    recipe = {"tools": [{"name": "files", "options": {"folder": "/" + "x" * 300}}]}
    with pytest.raises(StorageError, match=r"/x+ cannot be read: File name too long"):
        await told(recipe, around(Shelf(plain=scripted()), tmp_path), question("?"))


async def test_a_folder_below_home_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("one")
    monkeypatch.setenv("HOME", str(tmp_path))
    lm = scripted(asking("read_file", path="a.txt"))
    tool = {"name": "files", "options": {"folder": "~/notes"}, "approval": "always"}
    await told({"tools": [tool]}, around(Shelf(plain=lm), tmp_path), question("?"))
    assert results(lm) == ["one"]


async def test_two_folders_of_files_are_two_sets_of_tools(docs: Path) -> None:
    (docs / "more").mkdir()
    (docs / "more" / "x.txt").write_text("more")
    first = {"name": "files", "options": {"folder": str(docs / "docs")}, "approval": "always"}
    more = {"folder": str(docs / "more"), "name": "more"}
    second = {"name": "files", "options": more, "approval": "always"}
    lm = scripted(asking("more_read_file", path="x.txt"))
    recipe = {"tools": [first, second]}
    await told(recipe, around(Shelf(plain=lm), docs), question("?"))
    assert results(lm) == ["more"]
    assert len(lm.requests[0].tools) == 6
    assert look(written(recipe_of(recipe, "r")), "r").problems == ()
    with pytest.raises(InputError, match=r"list_files is named twice. Give one of them the option"):
        await told({"tools": [first, first]}, around(Shelf(plain=lm), docs), question("?"))


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("technique: retrieval", "knowledge", "Name files or folders under knowledge"),
        ("tools: [documents]", "tools.0", "the option folder, or name files"),
        ("knowledge: [docs]", "knowledge", "Nothing searches the documents"),
        ("knowledge: [docs]\ntools: [{name: documents, options: {folder: docs}}]",
         "knowledge", "Nothing searches the documents"),
        ("knowledge: [docs, '']\ntechnique: retrieval", "knowledge.1", "at least 1 character"),
        ("knowledge: [3]\ntechnique: retrieval", "knowledge.0", "valid string"),
        ("knowledge: {a: b}\ntechnique: retrieval", "knowledge", "valid tuple"),
        ("tools: [model]", "tools.0", "needs the option model"),
        ("tools: [{name: classifier, options: {modell: x}}]", "tools.0", "Did you mean model"),
        ("tools: [{name: model, options: {model: x}}, {name: model, options: {model: x}}]",
         "tools.1", "named twice"),
        ("tools: [{name: documents, options: {folder: x, meaning: 1}}]", "tools.0", "a bool"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_has_its_place(
    text: str, place: str, words: str, docs: Path
) -> None:
    problem = look(text, "The recipe").problems[0]
    assert (problem.place, words in problem.message) == (place, True), problem
    with pytest.raises(InputError):
        await told(recipe_of_text(text), around(Shelf(plain=scripted()), docs), question("?"))


def recipe_of_text(text: str) -> dict[str, Any]:
    return read_recipe(text, "r").model_dump(mode="json", exclude_defaults=True)


@pytest.mark.parametrize(
    "text",
    [
        "knowledge: [docs]\ntechnique: retrieval",
        "knowledge: docs\ntools: [documents, clock]",
        "tools: [{name: model, options: {model: x}}, {name: model, options: {model: y}}]",
        "tools: [{name: documents, options: {folder: docs}}]",
    ],
)
def test_what_fits_has_no_problem(text: str) -> None:
    assert look(text, "The recipe").problems == ()


async def test_documents_that_are_not_there_are_said_before_anybody_is_asked(docs: Path) -> None:
    lm = scripted()
    recipe = {"knowledge": ["docs", "gone"], "technique": "retrieval"}
    with pytest.raises(
        InputError, match=r"The assistant helper: There is no file or folder .*gone"
    ):
        await told(recipe, around(Shelf(plain=lm), docs), question("?"))
    assert lm.requests == []


def test_a_form_writes_what_is_known() -> None:
    text = "# mine\nknowledge: [a]\ntechnique: retrieval\n"
    assert rewritten(text, {"knowledge": ["a"], "technique": {"name": "retrieval"}}) == text
    changed = rewritten(text, {"knowledge": ["a", "b c"], "technique": {"name": "retrieval"}})
    assert changed == "# mine\nknowledge:\n- a\n- b c\ntechnique: retrieval\n"
    assert read_recipe("knowledge: a", "r").knowledge == ("a",)
