"""Templates, their versions and differences; and the language that techniques speak."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from kataribe.base.errors import InputError
from kataribe.use.prompts.template import Template, difference
from kataribe.use.prompts.wordings import ENGLISH, JAPANESE, wording_for


def test_variables_are_replaced_once_and_never_read_again():
    template = Template("Dear {{name}}, {{ text }} {{name}}")
    assert template.variables == ("name", "text")
    values = {"name": "{{text}}", "text": "\\1 {x} \\{{"}
    assert template.render(values) == "Dear {{text}}, \\1 {x} \\{{ {{text}}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("\\{{name}}", "{{name}}"),
        ("f() { return x; }", "f() { return x; }"),
        ("", ""),
    ],
)
def test_braces_that_are_no_variables(text, shown):
    assert Template(text).variables == ()
    assert Template(text).render({}) == shown


def test_names_in_any_script():
    assert Template("{{質問}}").render({"質問": "なぜ"}) == "なぜ"


@pytest.mark.parametrize(
    "text", ["{{}}", "{{two words}}", "{{1st}}", "{{open", "a {{x\n}}", "{{a.b}}", "{{a()}}"]
)
def test_what_looks_like_a_variable_and_is_none(text):
    with pytest.raises(InputError, match="Line 2 of the template") as refused:
        Template(f"fine\n{text}")
    assert "\\{{" in refused.value.message


def test_missing_and_unknown_variables_are_all_named():
    with pytest.raises(InputError) as refused:
        Template("{{a}} {{b}} {{c}}").render({"b": "1", "x": "2", "y": "3"})
    told = refused.value.message
    assert "no value for 'a', 'c'" in told
    assert "a value for 'x', 'y'" in told
    assert "Its variables are 'a', 'b', 'c'." in told
    with pytest.raises(InputError, match="It has no variables"):
        Template("plain").render({"x": ""})
    with pytest.raises(InputError, match="type int"):
        Template("{{a}}").render({"a": 3})  # type: ignore[dict-item]


def test_the_version_is_the_hash_of_the_words():
    one, other = Template("語り部 {{a}}"), Template("語り部 {{b}}")
    assert one.version == hashlib.sha256("語り部 {{a}}".encode()).hexdigest()
    assert one.version != other.version
    assert one == Template("語り部 {{a}}")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.text = "x"  # type: ignore[misc]


def test_what_changed_between_versions():
    old, new = Template("one\ntwo\nthree"), Template("one\n2\nthree")
    assert difference(old, new).splitlines() == [
        f"--- {old.version[:12]}", f"+++ {new.version[:12]}",
        "@@ -1,3 +1,3 @@", " one", "-two", "+2", " three",
    ]  # fmt: skip
    assert difference(old, old) == ""
    assert "Only the ends of lines differ" in difference(Template("a\n"), Template("a"))


@pytest.mark.parametrize(
    ("question", "wording"),
    [
        ("What is this?", ENGLISH),
        ("これは何ですか。", JAPANESE),
        ("日本の首都", JAPANESE),
        ("Pythonのlistとtupleの違いは何ですか", JAPANESE),
        ("What does 「こんにちは、元気ですか」 mean?", ENGLISH),
        ("「hello world, how are you」の意味は?", JAPANESE),
        ("Translate into English: こんにちは", ENGLISH),
        ("次のコードは何をしますか。\n```python\ndef long_function_name(): pass\n```", JAPANESE),
        ("「東京」", JAPANESE),
        ("ﾃｽﾄ", JAPANESE),
        ("12 * 7 = ?", ENGLISH),
        ("", ENGLISH),
        ("Wie heißt du?", ENGLISH),
    ],
)
def test_the_language_of_a_question(question, wording):
    assert wording_for(question) is wording


def test_a_question_without_letters_is_in_the_language_before_it():
    assert wording_for("12 * 7 = ?", ["Hello", "計算してください。"]) is JAPANESE
    assert wording_for("12 * 7 = ?", ["計算してください。", "Sure."]) is ENGLISH


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ENGLISH)])
def test_both_languages_say_the_same_things(field):
    english, japanese = getattr(ENGLISH, field), getattr(JAPANESE, field)
    if isinstance(english, str):
        assert english
        assert japanese
        return
    assert set(english.variables) == set(japanese.variables)
    assert english.variables
    assert not any("ぁ" <= letter <= "ん" for letter in english.text)
