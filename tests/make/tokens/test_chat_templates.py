"""Chats are written as `transformers` writes them, and hostile templates are stopped."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from kataribe.base.errors import InputError, TemplateError, UnsupportedError
from kataribe.base.messages import (
    ImagePart,
    Message,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from kataribe.make.tokens import ChatTemplate, load_tokenizer
from tests.make.tokens import template_texts
from tests.make.tokens.chats import ASSISTANT, CHATS, NAMES, THEIR_TOOLS, TIME, USER, WEATHER, pair


def theirs_or_none(source: str, chat: list[dict[str, Any]], **options: Any) -> str | None:
    try:
        rendered, _ = render_jinja_template([chat], chat_template=source, **NAMES, **options)
    except Exception:  # noqa: BLE001  # any refusal counts
        return None
    return str(rendered[0])


@pytest.mark.parametrize("name", list(template_texts.ALL))
def test_every_chat_is_written_as_by_transformers(name: str) -> None:
    source = template_texts.ALL[name]
    template = ChatTemplate(source, names=NAMES)
    rendered = 0
    cases = itertools.product(CHATS.items(), (True, False), (True, False))
    for (_, chat), with_tools, prompt in cases:
        ours = [message for message, _ in chat]
        expected = theirs_or_none(
            source,
            [value for _, value in chat],
            tools=THEIR_TOOLS if with_tools else None,
            add_generation_prompt=prompt,
        )
        options: Any = {
            "tools": (WEATHER, TIME) if with_tools else (),
            "add_generation_prompt": prompt,
        }
        if expected is None:
            with pytest.raises(TemplateError):
                template.render(ours, **options)
        else:
            assert template.render(ours, **options) == expected
            rendered += 1
    assert rendered >= 12


@pytest.mark.parametrize("name", [name for name in template_texts.ALL if name != "tools"])
def test_unfinished_turns_end_as_in_transformers(name: str) -> None:
    source = template_texts.ALL[name]
    for last in ("Sunny and", "Sunny and  ", "  晴れ", "a</s>b"):
        chat = [pair(USER, "Weather?"), pair(ASSISTANT, last)]
        expected = theirs_or_none(source, [value for _, value in chat], continue_final_message=True)
        if expected is None:
            continue
        ours = ChatTemplate(source, names=NAMES).render(
            [message for message, _ in chat], continue_last=True
        )
        assert ours == expected
        assert ours.rstrip().endswith(last.strip())


def test_variables_reach_the_template() -> None:
    template = ChatTemplate(template_texts.QWEN3)
    chat = [text_message("user", "Hi")]
    assert template.render(chat, variables={"enable_thinking": False}).endswith("</think>\n\n")
    assert template.render(chat).endswith("assistant\n")
    documents = [{"title": "題", "text": "x"}]
    expected = theirs_or_none(
        template_texts.TRAINING,
        [{"role": "user", "content": "Hi"}],
        documents=documents,
        greeting="やあ",
    )
    variables = {"documents": documents, "greeting": "やあ"}
    assert ChatTemplate(template_texts.TRAINING).render(chat, variables=variables) == expected
    with pytest.raises(InputError, match="'messages' belongs"):
        template.render(chat, variables={"messages": []})
    with pytest.raises(InputError, match="JSON"):
        template.render(chat, variables={"enable_thinking": object()})


def test_variables_that_the_template_never_reads_are_refused() -> None:
    chat = [text_message("user", "Hi")]
    source = (
        "{% if mood is not defined %}{% set mood = 'calm' %}{% endif %}{{ mood }}"
        "{% for message in messages %}{% set part = message.content %}{{ part }}{% endfor %}"
        "{{ bos_token }}{{ raise_exception('x') if never else '' }}"
    )
    template = ChatTemplate(source, names={"bos_token": "<s>"})
    assert template.render(chat, variables={"mood": "glad", "never": False}) == "gladHi<s>"
    with pytest.raises(
        InputError, match=r"never reads the variable 'moood'.* mood, never\."
    ) as told:
        template.render(chat, variables={"mood": "glad", "moood": "sad"})
    assert told.value.param == "chat_template_kwargs"
    for name in ("part", "raise_exception", "loop", "range"):
        with pytest.raises(InputError, match=f"'{name}'"):
            template.render(chat, variables={name: 1})
    with pytest.raises(InputError, match="reads none; leave them out"):
        ChatTemplate("{{ messages }}").render(chat, variables={"mood": 1})
    two = ChatTemplate("{{ messages }}", tool_source="{{ only_with_tools }}")
    assert two.render(chat, variables={"only_with_tools": 1})


@pytest.mark.parametrize("name", list(template_texts.ALL))
def test_which_templates_show_tools(name: str) -> None:
    assert ChatTemplate(template_texts.ALL[name], names=NAMES).supports_tools == (
        name in template_texts.WITH_TOOLS
    )


def test_a_second_template_is_for_tools() -> None:
    template = ChatTemplate("plain", "{{ tools[0].function.name }}")
    chat = [text_message("user", "Hi")]
    assert template.render(chat) == "plain"
    assert template.render(chat, tools=[TIME]) == "get_time"


def test_several_results_in_one_message_become_several() -> None:
    template = ChatTemplate("{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}")
    results = Message("tool", (ToolResultPart("1", "a"), ToolResultPart("2", "b", is_error=True)))
    assert template.render([results]) == "tool:a;tool:b;"


def test_arguments_that_are_no_json_stay_as_they_are() -> None:
    template = ChatTemplate("{{ messages[0].tool_calls[0].function.arguments }}")
    chat = [Message("assistant", (ToolCallPart("1", "f", '{"a": '),))]
    assert template.render(chat) == '{"a": '


def test_what_cannot_be_written() -> None:
    template = ChatTemplate(template_texts.CHATML)
    with pytest.raises(InputError, match="no messages"):
        template.render([])
    with pytest.raises(UnsupportedError, match="images"):
        template.render([Message("user", (ImagePart("image/png", b"x"),))])
    with pytest.raises(InputError, match="no words"):
        template.render([text_message("assistant", "")], continue_last=True)
    with pytest.raises(TemplateError, match="leaves out the last message"):
        ChatTemplate("x").render([text_message("assistant", "a")], continue_last=True)


def test_the_default_models_chats(smollm2_path: Path) -> None:
    tokenizer = load_tokenizer(smollm2_path)
    template = tokenizer.chat_template
    assert template is not None
    assert not template.supports_tools
    for chat in (CHATS["one question"], CHATS["system and turns"]):
        messages = [message for message, _ in chat]
        expected = theirs_or_none(
            template.source, [value for _, value in chat], add_generation_prompt=True
        )
        assert template.render(messages) == expected
        assert expected is not None
        assert tokenizer.encode_chat(messages) == tokenizer.encode(expected)


@pytest.mark.slow
def test_the_big_models_chats(qwen_path: Path) -> None:
    template = load_tokenizer(qwen_path).chat_template
    assert template is not None
    assert template.supports_tools
    for chat in CHATS.values():
        expected = theirs_or_none(
            template.source,
            [value for _, value in chat],
            tools=THEIR_TOOLS,
            add_generation_prompt=True,
        )
        assert template.render([message for message, _ in chat], tools=(WEATHER, TIME)) == expected


@pytest.mark.parametrize("name", list(template_texts.ALL))
def test_templates_without_system_messages_are_known(name: str) -> None:
    template = ChatTemplate(template_texts.ALL[name], names=NAMES)
    assert template.supports_system == (name != "gemma")
