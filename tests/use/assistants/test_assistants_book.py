"""The recipes that come with Kataribe, and those of the workspace."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from kataribe.base.errors import FormatError, InputError, NotFoundError
from kataribe.use.assistants import book as book_module
from kataribe.use.assistants.book import Book
from kataribe.use.assistants.recipe import LONGEST
from kataribe.use.assistants.toolbox import open_toolbox
from kataribe.use.guards.settings import guards_of
from kataribe.use.prompts.registry import entry_of

READY = {
    "casual-chat", "code-helper", "customer-answerer", "quiz-maker", "research-agent",
    "summariser", "translator",
}  # fmt: skip


def test_the_ready_ones_hold_and_speak_both_languages(tmp_path: Path) -> None:
    found = Book(tmp_path / "none").all()
    assert set(found) == READY
    for kept in found.values():
        recipe = kept.recipe()
        assert not kept.own
        for words in (recipe.title, recipe.about, *recipe.starters):
            assert words.en
            assert words.ja
        assert recipe.system.strip()
        assert recipe.starters
        assert recipe.models() == ()  # the server's default model, whatever that is
        chosen = {name: value for name, value in recipe.guards.items() if name != "standard"}
        guards_of(chosen)
        if recipe.technique is not None:
            entry_of(recipe.technique.name)
        with ExitStack() as stack:
            open_toolbox(recipe.tools, recipe.approval, stack)


def test_one_of_ones_own_hides_the_shipped_one(tmp_path: Path) -> None:
    book = Book(tmp_path)
    kept = book.write("translator", "system: Mine.\n")
    assert kept.path == tmp_path / "translator.yaml"
    assert book.find("translator").recipe().system == "Mine."
    assert book.find("translator").own
    assert set(book.all()) == READY
    book.remove("translator")
    assert not book.find("translator").own
    with pytest.raises(InputError, match="comes with Kataribe"):
        book.remove("translator")
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_hold_is_not_written(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.write("mine", "system: First.\n")
    with pytest.raises(InputError, match=r"mine\.yaml has sytem"):
        book.write("mine", "sytem: Second.\n")
    with pytest.raises(FormatError, match="no YAML"):
        book.write("mine", "[")
    with pytest.raises(InputError, match="cannot name a model"):
        book.write("../mine", "system: x")
    assert book.find("mine").recipe().system == "First."
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_an_unknown_name_suggests_near_ones(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="Did you mean translator"):
        Book(tmp_path).find("transltor")


def test_assistants_cannot_ask_each_other_for_ever(tmp_path: Path) -> None:
    book = Book(tmp_path)
    with pytest.raises(InputError, match="a would ask itself: a -> a"):
        book.write("a", "model: a")
    book.write("c", "model: plain")
    book.write("b", "router: {default: plain, rules: [{model: c, words: [x]}]}")
    book.write("a", "model: b")
    with pytest.raises(InputError, match="c would ask itself: c -> a -> b -> c"):
        book.write("c", "model: a")
    assert book.find("c").recipe().model == "plain"


def test_a_broken_file_of_somebody_is_told_when_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("sytem: x", encoding="utf-8")
    (tmp_path / "latin.yaml").write_bytes(b"system: \xe9")
    (tmp_path / "no name.yaml").write_text("", encoding="utf-8")
    book = Book(tmp_path)
    assert set(book.all()) == READY | {"broken"}
    with pytest.raises(InputError, match=r"broken\.yaml has sytem"):
        book.find("broken").recipe()
    book.write("other", "model: broken")  # only what it says itself is looked at


def long_ago(path: Path, seconds: int = 1000) -> None:
    at = path.stat().st_mtime - seconds
    os.utime(path, (at, at))


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    path, book = tmp_path / "mine.yaml", Book(tmp_path)
    path.write_text("system: One.\n")
    long_ago(path)
    first = book.all()["mine"]
    assert book.all()["mine"] is first
    assert book.find("mine").recipe() is first.recipe()
    assert first.changed == path.stat().st_mtime
    path.write_text("system: Two.\n")
    long_ago(path, 500)
    assert book.find("mine").recipe().system == "Two."
    path.unlink()
    assert "mine" not in book.all()


def test_a_file_that_changes_twice_in_a_moment_is_read_twice(tmp_path: Path) -> None:
    path, book = tmp_path / "mine.yaml", Book(tmp_path)
    path.write_text("system: One.\n")
    status = path.stat()
    assert book.find("mine").recipe().system == "One."
    path.write_text("system: Two.\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert book.find("mine").recipe().system == "Two."


def test_what_is_kept_of_recipes_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(tmp_path)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yaml").write_text(f"system: {name}{name}.\n")
        long_ago(tmp_path / f"{name}.yaml")
    monkeypatch.setattr(book_module, "MOST_KEPT", 2 * len("system: aa.\n"))
    before, after = book.all(), book.all()
    assert {name: before[name] is after[name] for name in "abc"} == {
        "a": True, "b": True, "c": False,
    }  # fmt: skip
    assert after["c"].recipe().system == "cc."


def test_of_a_file_that_is_no_recipe_by_its_size_not_all_is_read(tmp_path: Path) -> None:
    (tmp_path / "huge.yaml").write_text("# " + "あ" * (3 * LONGEST))
    kept = Book(tmp_path).find("huge")
    assert len(kept.text) == LONGEST + 1
    with pytest.raises(FormatError, match=f"huge.yaml has more than {LONGEST} bytes"):
        kept.recipe()


def test_nothing_is_written_over_unseen(tmp_path: Path) -> None:
    book = Book(tmp_path)
    first = book.replace("mine", "system: First.\n", None)
    second = book.replace("mine", "system: Second.\n", first.tag)
    for over in (None, first.tag, "0" * 24):
        with pytest.raises(InputError, match="nothing was written") as raised:
            book.replace("mine", "system: Third.\n", over)
        assert raised.value.code == "changed_meanwhile"
    assert book.find("mine").text == "system: Second.\n"
    assert second.tag != first.tag
    ready = book.find("translator")
    assert book.replace("translator", "system: Mine.\n", ready.tag).own
    with pytest.raises(InputError, match="deleted meanwhile"):
        book.replace("gone", "system: x\n", first.tag)


def test_of_two_who_write_at_once_one_is_refused(tmp_path: Path) -> None:
    book = Book(tmp_path)
    tag = book.write("mine", "system: Before.\n").tag
    start, ended = threading.Barrier(4), []

    def write(number: int) -> None:
        start.wait()
        try:
            book.replace("mine", f"system: '{number}'\n", tag)
            ended.append(number)
        except InputError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = ended
    assert book.find("mine").recipe().system == str(winner)


def test_what_is_put_away_comes_back(tmp_path: Path) -> None:
    book = Book(tmp_path)
    kept = book.write("translator", "system: Mine.\n")
    with pytest.raises(InputError, match="changed meanwhile"):
        book.put_away("translator", "0" * 24)
    book.put_away("translator", kept.tag)
    shipped = book.find("translator")
    assert not shipped.own
    with pytest.raises(InputError, match="comes with Kataribe"):
        book.put_away("translator", shipped.tag)
    other = book.write("translator", "system: Other.\n")
    with pytest.raises(InputError, match="another assistant translator by now"):
        book.bring_back("translator")
    book.remove("translator")
    assert book.bring_back("translator").text == kept.text
    book.remove("translator")
    with pytest.raises(NotFoundError, match="No deleted assistant"):
        book.bring_back("translator")
    with pytest.raises(InputError, match="cannot name"):
        book.bring_back("../translator")
    assert other.tag != kept.tag


def test_what_was_put_away_long_ago_is_gone(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put_away("old", book.write("old", "system: x\n").tag)
    old = tmp_path / ".deleted" / "old.yaml"
    os.utime(old, (1, 1))
    book.put_away("new", book.write("new", "system: x\n").tag)
    assert [path.name for path in old.parent.iterdir()] == ["new.yaml"]
    assert "old" not in book.all()
