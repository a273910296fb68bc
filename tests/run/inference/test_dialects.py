"""A chat template's own text shows how its model writes calls."""

# ruff: noqa: E501 (templates are quoted as they are)

from __future__ import annotations

import pytest

from kataribe.run.inference import dialects
from kataribe.run.inference.dialects import DIALECTS, ID, dialect_of
from tests.make.tokens import template_texts
from tests.run.inference.dialect_writer import NAMED

# What the templates of these models say, as far as it shows how calls are written.
SAID = {
    "HERMES": '<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call>',
    "QWEN_CODER": "<tool_call>\\n<function=example>\\n<parameter=a>\\nvalue\\n</parameter>\\n</function>",
    "GLM": "<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>\n<arg_value>{arg-value-1}",
    "LLAMA": """'{"name": "' + tool_call.name + '", ' }}{{- '"parameters": ' }} message.role == "ipython" """,
    "PYTHONIC": """Environment: ipython Respond in the format [func_name1(params_name1=params_value1,
        params_name2=params_value2...), func_name2(params)] {"name": "parameters": """,
    "LFM": "List of tools: <|tool_list_start|>[",
    "MISTRAL": '{{- "[TOOL_CALLS] [" }}',
    "MISTRAL_ARGS": '{{- "[TOOL_CALLS]" + tool.function.name + "[ARGS]" + arguments }}',
    "MISTRAL_IDS": "'[TOOL_CALLS]' + name '[CALL_ID]' + tool_call.id '[ARGS]'",
    "PHI": "'<|tool_call|>' + (tool_call['function'] | tojson) + '<|/tool_call|>'",
    "PHI_LIST": '<|tool_call|>[{"name": "f", "arguments": {}}]<|/tool_call|>',
    "GRANITE": "respond with <|tool_call|> followed by a JSON list of tools used",
    "NEMOTRON": '<TOOLCALL>[{"name": "f", "arguments": {}}]</TOOLCALL>',
    "FUNCTION_GEMMA": "'<start_function_call>call:' + function['name'] + '{'",
    "GEMMA4": "'<|tool_call>call:' + function['name'] + '{' '}<tool_call|>'",
}


@pytest.mark.parametrize("name", NAMED)
def test_templates_show_their_dialect(name):
    assert dialect_of(SAID[name]) is NAMED[name]


def test_every_dialect_can_be_found():
    assert set(DIALECTS) == set(NAMED.values())
    assert len(DIALECTS) == len(NAMED)


@pytest.mark.parametrize(
    ("template", "dialect"),
    [
        ("llama3.1", dialects.LLAMA),
        ("mistral0.3", dialects.MISTRAL),
        ("qwen2.5", dialects.HERMES),
        ("qwen3", dialects.HERMES),
        ("gemma", None),
        ("chatml", None),
        ("phi3", None),
    ],
)
def test_whole_templates_show_their_dialect(template, dialect):
    assert dialect_of(template_texts.ALL[template]) is dialect


@pytest.mark.parametrize(
    "template",
    [
        "nothing",
        "<|channel|>commentary to=functions.get <|constrain|>json",
        '{"name": "f", "parameters": {}}',
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>",
        "<minimax:tool_call>\\n<invoke name=",
    ],
)
def test_a_syntax_that_nobody_knows_is_none(template):
    assert dialect_of(template) is None


@pytest.mark.parametrize("name", NAMED)
def test_a_head_names_the_function_and_says_where_the_id_stands(name):
    before, own_id, behind = NAMED[name].head_of("get")
    assert "get" in before
    assert own_id == (ID if name == "MISTRAL_IDS" else "")
    assert bool(behind) == bool(own_id)


def test_names_in_json_are_escaped():
    assert '"a\\"b\\\\c"' in dialects.HERMES.head_of('a"b\\c')[0]
    assert dialects.GLM.head_of('a"b')[0] == 'a"b\n'


@pytest.mark.parametrize("name", NAMED)
def test_ids_suit_the_dialect(name):
    made = NAMED[name].new_id()
    assert made != NAMED[name].new_id()
    if name.startswith("MISTRAL"):
        assert len(made) == 9
        assert made.isalnum()
    else:
        assert made.startswith("call_")
