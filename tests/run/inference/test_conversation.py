"""Every template gets conversations in a form that it takes, whoever they came from."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kataribe.base.errors import TemplateError
from kataribe.base.lm import Request, Thinking, ToolSpec
from kataribe.base.messages import Message, ToolCallPart, ToolResultPart, text_message, text_of
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.templates import ChatTemplate
from kataribe.run.inference.conversation import (
    chat_ids,
    fitting_calls,
    teach_tools,
    template_dialect,
    template_variables,
    thinking_variables,
)
from kataribe.run.inference.dialects import HERMES, LLAMA, MISTRAL
from tests.make.tokens import template_texts
from tests.make.tokens.chats import NAMES

WEATHER = ToolSpec("get_weather", "Weather of a city", {"type": "object", "properties": {}})


def called(*ids: str) -> Message:
    return Message("assistant", tuple(ToolCallPart(at, "get_weather", '{"x": 1}') for at in ids))


def answered(at: str, words: str) -> Message:
    return Message("tool", (ToolResultPart(at, words),))


HISTORY = (
    text_message("user", "Weather?"),
    called("call_0123456789abcdef01234567", "東京-1"),
    answered("call_0123456789abcdef01234567", "sunny"),
    answered("東京-1", "rainy"),
    text_message("user", "And tomorrow?"),
)


@pytest.fixture(scope="module")
def written(smollm2_path):
    """Call it with a template's name and messages: the text that the model reads."""
    tokenizer = load_tokenizer(smollm2_path)

    def write(name: str, messages, tools=(WEATHER,)) -> str:
        template = ChatTemplate(template_texts.ALL[name], names=NAMES)
        its = tokenizer.with_template(template)
        return its.decode(chat_ids(its, messages, tools=tools))

    return write


@pytest.mark.parametrize("name", [name for name in template_texts.ALL if name != "training"])
def test_every_template_takes_calls_of_other_clients(written, name):
    text = written(name, HISTORY)
    places = [text.find(word) for word in ("Weather?", "sunny", "rainy", "And tomorrow?")]
    assert -1 not in places
    assert places == sorted(places)
    assert "get_weather" in text


def test_calls_of_one_turn_become_turns_of_their_own():
    told = fitting_calls(HISTORY, LLAMA)
    assert [message.role for message in told] == [
        "user", "assistant", "tool", "assistant", "tool", "user",
    ]  # fmt: skip
    assert [part.id for message in told[1:4:2] for part in message.parts] == [
        HISTORY[1].parts[0].id,
        "東京-1",
    ]
    assert [message.parts[0].content for message in told[2:5:2]] == ["sunny", "rainy"]


def test_ids_are_shortened_alike_in_calls_and_results():
    kept = "abcDEF123"
    told = fitting_calls((*HISTORY, called(kept), answered(kept, "snow")), MISTRAL)
    calls = [part.id for message in told for part in message.parts if hasattr(part, "id")]
    answers = [
        part.call_id for message in told for part in message.parts if hasattr(part, "call_id")
    ]
    assert calls == answers
    assert len(set(calls)) == 3
    assert calls[-1] == kept
    assert all(len(one) == 9 and one.isascii() and one.isalnum() for one in calls)
    assert fitting_calls(HISTORY, MISTRAL) == fitting_calls(HISTORY, MISTRAL)


@pytest.mark.parametrize("dialect", [LLAMA, MISTRAL])
def test_new_ids_come_back_unchanged(dialect):
    at = dialect.new_id()
    assert dialect.new_id() != at
    chat = (called(at), answered(at, "snow"))
    assert fitting_calls(chat, dialect) == chat


def test_the_lesson_stands_in_the_first_question_where_no_system_message_may(written):
    text = written("gemma", HISTORY[:1])
    assert "<tools>" in text
    assert text.index("<start_of_turn>user") < text.index("<tools>") < text.index("Weather?")
    assert "system" not in text
    with pytest.raises(TemplateError, match="System role not supported"):
        written("gemma", (text_message("system", "Be brief."), *HISTORY[:1]))


def test_a_model_without_tools_is_taught_them():
    conversation = (
        text_message("system", "Be brief."),
        text_message("user", "Weather?"),
        Message("assistant", (ToolCallPart("1", "get_weather", '{"city": "x"}'),)),
        Message("tool", (ToolResultPart("1", "sunny"),)),
    )
    taught = teach_tools(conversation, [WEATHER])
    assert [message.role for message in taught] == ["system", "user", "assistant", "user"]
    assert text_of(taught[0]).startswith("Be brief.")
    assert json.dumps(dict(WEATHER.parameters)) in text_of(taught[0])
    body = json.loads(text_of(taught[2]).split("\n")[1])
    assert body == {"name": "get_weather", "arguments": {"city": "x"}}
    assert "sunny" in text_of(taught[3])
    assert teach_tools(conversation[1:2], [WEATHER])[0].role == "system"


def test_what_becomes_one_speaker_becomes_one_turn():
    taught = teach_tools(HISTORY, ())
    assert [message.role for message in taught] == ["user", "assistant", "user"]
    assert text_of(taught[2]) == (
        "<tool_response>\nsunny\n</tool_response>\n"
        "<tool_response>\nrainy\n</tool_response>\nAnd tomorrow?"
    )
    twice = (text_message("user", "a"), text_message("user", "b"))
    assert teach_tools(twice, ()) == twice, "turns that nobody changed stay as they were sent"


TURNS = "{% for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}"
SHOWN = "{% if tools %}{{ tools | tojson }}{% endif %}"


@pytest.mark.parametrize(
    ("source", "dialect", "is_taught"),
    [
        (TURNS + SHOWN + "<tool_call>", HERMES, False),
        (TURNS + SHOWN + "[TOOL_CALLS]", MISTRAL, False),
        (TURNS + SHOWN + "<|some_call|>", HERMES, True),
        (TURNS + "[TOOL_CALLS]", HERMES, True),
        (TURNS, HERMES, True),
    ],
    ids=["hermes", "mistral", "unknown syntax", "calls without tools", "no tools"],
)
def test_a_syntax_that_cannot_be_read_is_not_asked_for(smollm2_path, source, dialect, is_taught):
    """What the model is told to write is always what the grammar and the reader expect."""
    template = ChatTemplate(source, names=NAMES)
    assert template_dialect(template) is dialect
    its = load_tokenizer(smollm2_path).with_template(template)
    text = its.decode(chat_ids(its, [text_message("user", "Weather?")], tools=[WEATHER]))
    assert "get_weather" in text
    assert ("To call one, answer with" in text) == is_taught


def test_a_wish_to_think_is_a_variable_where_the_template_reads_it(smollm2_path):
    tokenizer = load_tokenizer(smollm2_path)
    for name, source in template_texts.ALL.items():
        its = tokenizer.with_template(ChatTemplate(source, names=NAMES))
        knows = "enable_thinking" in source
        for wanted in (True, False):
            expected = {"enable_thinking": wanted} if knows else {}
            assert thinking_variables(its, Thinking(wanted=wanted)) == expected, name
        for wish in (None, Thinking(), Thinking(effort="high")):
            assert thinking_variables(its, wish) == {}
    assert any("enable_thinking" in source for source in template_texts.ALL.values())


def test_what_is_said_of_the_template_goes_before_a_wish(smollm2_path):
    source = next(one for one in template_texts.ALL.values() if "enable_thinking" in one)
    its = load_tokenizer(smollm2_path).with_template(ChatTemplate(source, names=NAMES))
    wished = Request((text_message("user", "Why?"),), thinking=Thinking(wanted=True))
    said = replace(wished, template={"enable_thinking": False})
    assert template_variables(its, wished) == {"enable_thinking": True}
    assert template_variables(its, said) == {"enable_thinking": False}
