"""What is wrong with a form is told in words of its own, never in the compiler's."""

from __future__ import annotations

import pytest

from kataribe.base.errors import ConstraintError
from kataribe.base.lm import GrammarFormat, JsonFormat, RegexFormat
from kataribe.run.inference.complaints import in_plain_words
from kataribe.run.inference.constraint import Vocabulary, compile_constraint
from tests.run.inference.test_constraint import Bytes

INNER = ("NoExtensionBias", "verbose", "coerce", "Unimplemented", "Unsatisfiable", "SearchRegex")
CIRCLE = {
    "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    "$ref": "#/$defs/a",
}
TEXT = {"type": "string"}
FORMS = [
    (JsonFormat({"$ref": "#"}), "refers to itself"),
    (JsonFormat(CIRCLE), "refers to itself"),
    (JsonFormat({"anyOf": [{"$ref": "#"}]}), "refers to itself"),
    (RegexFormat("[a&&b]"), "rules out every text"),
    (RegexFormat(r"[^\s\S]"), "rules out every text"),
    (GrammarFormat("start: a\na: b\nb: a"), "refers to itself"),
    (GrammarFormat('start: %json {"oneOf": [{}, {}]}'), "oneOf .* Use anyOf"),
    (JsonFormat({"oneOf": [TEXT, {**TEXT, "minLength": 3}]}), "oneOf .* Use anyOf"),
    (JsonFormat({"type": "array", "uniqueItems": True}), '"uniqueItems", which replies cannot'),
    (JsonFormat({"not": TEXT}), '"not", which replies cannot'),
    (JsonFormat({**TEXT, "format": "zzz"}), "format 'zzz'"),
    (JsonFormat({"type": "zzz"}), "type 'zzz'; there are null"),
    (JsonFormat({"$ref": "http://x/y"}), "'http://x/y', and only references within"),
    (JsonFormat({"$ref": "#/nope"}), "'#/nope', which is not in it"),
    (JsonFormat({"type": "number", "multipleOf": 0}), "multipleOf"),
    (JsonFormat({**TEXT, "minLength": 5, "maxLength": 2}), "minLength .5. is greater"),
    (JsonFormat({"enum": []}), "No value can match"),
    (JsonFormat({**TEXT, "pattern": "a[b&&c]"}), "No value can match"),
    (JsonFormat({**TEXT, "pattern": "["}), r"expression \[ is invalid: unclosed character class\."),
    (RegexFormat("("), r"expression \( is invalid: unclosed group\."),
    (RegexFormat(r"a\b"), "looks around"),
    (RegexFormat("\\"), "backslash that escapes nothing"),
    (RegexFormat("x\\"), "backslash that escapes nothing"),
    (RegexFormat("x\\\\\\"), "backslash that escapes nothing"),
    (JsonFormat({**TEXT, "pattern": "x\\"}), "backslash that escapes nothing"),
    (JsonFormat({"patternProperties": {"x\\": TEXT}}), "backslash that escapes nothing"),
]


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(Bytes(), 300)


@pytest.mark.parametrize(("form", "told"), FORMS)
def test_what_is_wrong_is_told_without_the_compilers_words(vocabulary, form, told):
    with pytest.raises(ConstraintError, match=told) as caught:
        compile_constraint(form, vocabulary)
    assert not [word for word in INNER if word in caught.value.message]
    assert " | start" not in caught.value.message


def test_an_unknown_complaint_is_passed_on():
    told = in_plain_words('at 1(8): unknown name: "x"\n  1 | start: x <non-verbose/>')
    assert 'unknown name: "x"' in told
    assert "verbose" not in told
    assert told.endswith("Correct or simplify it.")


@pytest.mark.parametrize("pattern", ["x\\\\", r"a\\\\", r"[\\]"])
def test_an_escaped_backslash_is_one(vocabulary, pattern):
    state = compile_constraint(RegexFormat(pattern), vocabulary).start()
    for letter in pattern.replace("\\\\", "\\").strip("[]"):
        assert state.mask()[ord(letter)]
        state.advance(ord(letter))
    assert state.is_accepting


@pytest.mark.parametrize(
    "keywords",
    [
        {"uniqueItems": False},
        {"propertyNames": {}},
        {"propertyNames": True},
        {"propertyNames": {"type": "string"}},
        {"unevaluatedProperties": True},
        {"unevaluatedItems": {}},
        {"dependentRequired": {}},
        {"dependentSchemas": {}},
        {"not": False},
        {"if": {"type": "object"}},
        {"then": {"type": "object"}, "else": False},
        {"minContains": 2, "maxContains": 1},
    ],
)
def test_keywords_that_rule_nothing_out_are_left_out(vocabulary, keywords):
    schema = {"type": "object", "properties": {"a": {"type": "array", **keywords}}, **keywords}
    assert compile_constraint(JsonFormat(schema), vocabulary) is not None


@pytest.mark.parametrize(
    "keywords",
    [
        {"propertyNames": {"maxLength": 2}},
        {"unevaluatedProperties": False},
        {"dependentRequired": {"a": ["b"]}},
        {"not": {}},
        {"if": True, "then": False},
        {"contains": {}, "minContains": 0},
    ],
)
def test_keywords_that_rule_something_out_are_not(vocabulary, keywords):
    with pytest.raises(ConstraintError, match="which replies cannot be held to"):
        compile_constraint(JsonFormat({"type": "object", **keywords}), vocabulary)


@pytest.mark.parametrize("name", ["not", "if", "then", "propertyNames", "minContains"])
def test_a_property_may_be_called_like_a_keyword(vocabulary, name):
    schema = {"type": "object", "properties": {name: TEXT}, "required": [name]}
    schema["additionalProperties"] = False
    state = compile_constraint(JsonFormat(schema), vocabulary).start()
    for letter in f'{{"{name}": "x"}}':
        assert state.mask()[ord(letter)]
        state.advance(ord(letter))
    assert state.is_accepting
