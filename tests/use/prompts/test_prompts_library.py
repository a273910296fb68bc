"""The library: prompts by name and version, and what changed between two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kataribe.base.errors import FormatError, InputError, NotFoundError, StorageError
from kataribe.store.database import Store
from kataribe.store.tables import LOCAL
from kataribe.use.prompts.described import NEEDS, PAPERS, described
from kataribe.use.prompts.examples import read_examples
from kataribe.use.prompts.few_shot import Example
from kataribe.use.prompts.library import Library, parse_named
from kataribe.use.prompts.registry import TECHNIQUES


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    store = Store(tmp_path / "k.db")
    yield Library(store)
    store.close()


def test_a_name_is_the_newest_version_and_a_number_that_one(library: Library):
    made = library.create(LOCAL, "translate", "To {{language}}: {{text}}")
    assert made.version.variables == ("language", "text")
    library.write(LOCAL, made.prompt.id, "In {{language}}: {{text}}", "  another\n word ")
    assert library.find(LOCAL, "translate").name == "translate@2"
    assert library.find(LOCAL, "translate@1").version.text == "To {{language}}: {{text}}"
    assert library.find(LOCAL, "translate@v2").version.note == "another word"
    assert library.get(LOCAL, made.prompt.id, 1).name == "translate@1"
    with pytest.raises(NotFoundError, match="no version 3; it has versions 1 to 2"):
        library.find(LOCAL, "translate@3")
    with pytest.raises(NotFoundError, match="Did you mean translate"):
        library.find(LOCAL, "transalte")


@pytest.mark.parametrize("reference", ["a@", "a@0", "a@x", "@1", "a@-1", "a@1.5", "a@1@2"])
def test_what_names_no_version_is_refused(reference):
    with pytest.raises(InputError, match="NAME@NUMBER"):
        parse_named(reference)


def test_without_any_prompt_the_way_to_one_is_told(library: Library):
    with pytest.raises(NotFoundError, match="kataribe prompts new"):
        library.find(LOCAL, "x")


def test_a_text_that_is_no_template_is_refused_with_its_line(library: Library):
    with pytest.raises(InputError, match="Line 2 of the template"):
        library.create(LOCAL, "x", "fine\n{{not a name}}")
    assert library.all(LOCAL) == []


def test_the_difference_names_both_versions(library: Library):
    made = library.create(LOCAL, "p", "one\ntwo\n")
    library.write(LOCAL, made.prompt.id, "one\nthree\n")
    told = library.difference(LOCAL, made.prompt.id, 1, 2).splitlines()
    assert told[:2] == ["--- p@1", "+++ p@2"]
    assert {"-two", "+three"} <= set(told)
    assert library.difference(LOCAL, made.prompt.id, 2, 2) == ""
    library.write(LOCAL, made.prompt.id, "one\r\nthree\r\n")
    assert "ends of lines" in library.difference(LOCAL, made.prompt.id, 2, 3)


def test_every_technique_is_described_with_its_paper():
    found = {each.name: each for each in described()}
    assert list(found) == list(TECHNIQUES)
    assert PAPERS.keys() == TECHNIQUES.keys()
    assert NEEDS.keys() <= TECHNIQUES.keys()
    assert all(option.about for each in found.values() for option in each.options)
    paths = found["self-consistency"].options[0]
    assert (paths.name, paths.schema["type"], paths.default) == ("paths", "integer", 5)
    examples = found["few-shot"].options[0]
    assert examples.needed
    assert examples.schema["items"]["properties"].keys() == {"question", "answer"}


def test_papers_are_those_that_the_files_name():
    folder = Path(__file__).parents[3] / "src" / "kataribe" / "use" / "prompts"
    for name, paper in PAPERS.items():
        text = " ".join((folder / f"{name.replace('-', '_')}.py").read_text("utf-8").split())
        for title in paper.split('"')[1::2]:
            assert title in text, name


def test_examples_are_read_from_lines_of_json(tmp_path: Path):
    file = tmp_path / "e.jsonl"
    file.write_text(
        '\ufeff{"question": "1+1?", "answer": "2"}\n\n{"answer": "猫", "question": "q"}'
    )
    assert read_examples(file) == (Example("1+1?", "2"), Example("q", "猫"))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", InputError, "has no examples"),
        ('{"question": "a", "answer": "b"}\n{', FormatError, "Line 2"),
        ("[1]", FormatError, "no object"),
        ('{"question": "a"}', FormatError, "no answer"),
        ('{"question": " ", "answer": "b"}', FormatError, "no question"),
        ('{"question": "a", "answer": 3}', FormatError, "no answer"),
        ('{"question": "a", "answer": "b", "anwser": "c"}', FormatError, "anwser"),
    ],
)
def test_a_line_that_is_no_example_is_named(tmp_path: Path, text, error, words):
    file = tmp_path / "e.jsonl"
    file.write_text(text)
    with pytest.raises(error, match=words):
        read_examples(file)


def test_files_that_cannot_be_read_are_told(tmp_path: Path):
    with pytest.raises(StorageError, match="gone"):
        read_examples(tmp_path / "gone.jsonl")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="UTF-8"):
        read_examples(tmp_path / "b")
