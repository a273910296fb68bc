"""The OpenAPI document: it validates, it is true, and no request made from it breaks the server."""

from __future__ import annotations

import ast
import json
import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pydantic import BaseModel
from schemathesis import GenerationMode, Response
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
)

from kataribe.base.lm import LM
from kataribe.cli.models_here import ServedTokenizer
from kataribe.run.inference.load import LoadOptions, LocalModel, load_local
from kataribe.run.providers import Call, Reply, ScriptedLM
from kataribe.serve import shapes
from kataribe.serve.app import create_app, openapi_document
from kataribe.serve.errors import is_anthropic
from kataribe.serve.models import ModelInfo, ModelSource
from kataribe.serve.settings import ServerSettings
from kataribe.serve.shapes.anthropic_replies import AnthropicStreamEvent
from kataribe.serve.shapes.assistants import TestResult
from kataribe.serve.shapes.replies import ChatCompletion, ChatCompletionChunk
from kataribe.serve.shapes.responses_replies import ResponseStreamEvent
from kataribe.serve.shapes.service import ErrorResponse
from kataribe.serve.shapes.text import Completion
from tests.serve.conftest import WEATHER, hello, inside, source_of


def test_document_validates_and_is_stable():
    document = openapi_document()
    validate(document)
    assert json.dumps(document) == json.dumps(openapi_document())


def test_every_operation_is_named_and_tells_its_errors():
    document = openapi_document()
    names = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            assert "422" not in operation["responses"]
            assert "500" in operation["responses"]
            for status, response in operation["responses"].items():
                if int(status) >= 400 and (path, status) != ("/health", "503"):
                    schema = response["content"]["application/json"]["schema"]
                    shape = "AnthropicErrorResponse" if is_anthropic(path) else "ErrorResponse"
                    assert schema == {"$ref": f"#/components/schemas/{shape}"}
    assert len(set(names)) == len(names)
    assert {
        "createChatCompletion",
        "createCompletion",
        "createResponse",
        "createAnthropicMessage",
        "countAnthropicTokens",
        "tokenize",
        "detokenize",
        "listModels",
        "retrieveModel",
        "getHealth",
        "getMetrics",
    } <= set(names)


@pytest.mark.parametrize("reply", [Reply("a 日本 b", "hm"), Reply(calls=(Call("weather"),))])
async def test_bodies_and_chunks_are_as_described(reply):
    asked = hello(tools=[WEATHER], logprobs=True, top_logprobs=2, n=2)
    async with inside(source_of(ScriptedLM(reply))) as http:
        whole = await http.post("/v1/chat/completions", json=asked)
        stream = await http.post("/v1/chat/completions", json={**asked, "stream": True})
    ChatCompletion.model_validate_json(whole.content, strict=True)
    lines = [line for line in stream.text.split("\n\n") if line]
    assert lines.pop() == "data: [DONE]"
    for line in lines:
        ChatCompletionChunk.model_validate_json(line.removeprefix("data: "), strict=True)


async def test_completion_chunks_are_as_described():
    asked = {"model": "scripted", "prompt": ["a", "b"], "logprobs": 1, "echo": True, "n": 2}
    async with inside(source_of(ScriptedLM("one two"))) as http:
        whole = await http.post("/v1/completions", json=asked)
        stream = await http.post("/v1/completions", json={**asked, "stream": True})
    Completion.model_validate_json(whole.content, strict=True)
    for line in stream.text.split("\n\n")[:-2]:
        Completion.model_validate_json(line.removeprefix("data: "), strict=True)


def _schema(source: ModelSource, model: str) -> schemathesis.BaseSchema:
    app = create_app(source, ServerSettings(default_model=model, allowed_hosts=("testserver",)))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


class RealModel:
    """A `ModelSource` of one model with tokenizer, engine, sampler and constraints, all real."""

    model: LocalModel  # not at import, where the cases are collected

    def names(self) -> list[ModelInfo]:
        return [ModelInfo("pico", 0, "tests", loaded=True, context_length=CONTEXT)]

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        yield self.model.lm

    @asynccontextmanager
    async def tokenizer(self, name: str) -> AsyncIterator[ServedTokenizer]:
        yield ServedTokenizer(self.model.tokenizer)


@pytest.fixture(scope="module")
def real_model(pico_path):
    options = LoadOptions(context=CONTEXT, cache_tokens=4 * CONTEXT)
    SOURCE.model = load_local("pico", pico_path, options)
    yield SOURCE.model
    SOURCE.model.close(0)


CONTEXT = 256

# Fields that exclude or need each other cannot be said in a schema, so a request that fits it may
# be refused; `hold` holds that the refusal is never one that the schema should have told.
NOT_TOLD = [positive_data_acceptance]

QUICK = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

schema = _schema(source_of(ScriptedLM("Hello.")), "scripted")
SOURCE = RealModel()
real = _schema(SOURCE, "pico").exclude(path_regex="^/studio/")  # no model answers there


NAMED = {"/v1/responses": ResponseStreamEvent, "/v1/messages": AnthropicStreamEvent}
STUDIO = {
    "/studio/api/recipes/preview": ChatCompletionChunk,
    "/studio/api/recipes/test": TestResult,
}
LAST = {
    "response.completed",
    "response.incomplete",
    "response.failed",
    "message_stop",
    "error",
}


def _hold_named_events(response: Response, shape: type[BaseModel]) -> None:
    """Streams whose events are named by their type, and that end with a word for it."""
    *events, end = response.text.split("\n\n")
    assert end == ""
    told = [event.partition("\n") for event in events if not event.startswith((":", "event: kat"))]
    for name, _, data in told:
        data = data.removeprefix("data: ")
        shape.model_validate_json(data, strict=True)
        assert name == f"event: {json.loads(data)['type']}"
        assert "unexpected error" not in data
    if not response.stream_cut_short:
        assert told[-1][0].removeprefix("event: ") in LAST


def _hold_events(response: Response, path: str) -> None:
    if path in NAMED:
        _hold_named_events(response, NAMED[path])
        return
    usual = ChatCompletionChunk if "chat" in path else Completion
    shape = STUDIO.get(path, usual)
    *events, end = response.text.split("\n\n")
    assert end == ""
    if not response.stream_cut_short:  # schemathesis reads the first events of a long one
        # Of several prompts one may be wrong after another has begun to be answered.
        assert events[-1] == "data: [DONE]" or events[-1].startswith('data: {"error":')
    for event in events:
        if not event.startswith("data: ") or event == "data: [DONE]":
            continue  # progress, or a sign of life
        data = event.removeprefix("data: ")
        if "error" in json.loads(data):
            ErrorResponse.model_validate_json(data)
            assert "internal_error" not in data
        else:
            shape.model_validate_json(data, strict=True)


def _is_sound_after_all(case: schemathesis.Case) -> bool:
    """Whether a body that was broken on purpose fits the document all the same.

    Schemathesis breaks one branch of a `oneOf`, and does not look whether another one allows that.
    """
    broken = [kind for kind, info in case.meta.components.items() if info.mode.is_negative]
    if broken != [ParameterLocation.BODY]:
        return False
    document = openapi_document()
    body = document["paths"][case.operation.path][case.method.lower()]["requestBody"]
    schema = {**body["content"]["application/json"]["schema"], "components": document["components"]}
    return Draft202012Validator(schema).is_valid(case.body)


def hold(case: schemathesis.Case, **sending: Any) -> None:
    """Sends it; fails where the answer is none that the document tells, or a 500."""
    response = case.call(**sending)
    excluded = list(NOT_TOLD)
    if response.status_code < 400 and _is_sound_after_all(case):
        excluded.append(negative_data_rejection)
    if response.headers.get("content-type", [""])[0].startswith("text/event-stream"):
        # A schema in OpenAPI 3.1 is of the whole body, a string; schemathesis holds events to it.
        excluded.append(response_schema_conformance)
        _hold_events(response, case.path)
    case.validate_response(response, excluded_checks=excluded)
    if case.meta.generation.mode is GenerationMode.POSITIVE and response.status_code == 400:
        told = response.json()["error"]["message"]
        assert not told.startswith(("Field", "Unknown field")), (told, case.body)


def test_no_two_shapes_share_a_name():
    """The document tells shapes apart by their names alone: of two, one would be told as both."""
    names = Counter(
        node.name
        for file in Path(shapes.__path__[0]).glob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


@schema.parametrize()
@QUICK
def test_no_request_breaks_the_server(case):
    hold(case)


def hold_real(case: schemathesis.Case) -> None:
    is_sound = case.meta.generation.mode is GenerationMode.POSITIVE
    if is_sound and isinstance(case.body, dict) and "model" in case.body:
        case.body["model"] = "pico"  # an invented name would only be a 404
        if case.path.endswith("completions"):  # replies of 128 choices take their time
            case.body["n"] = min(case.body.get("n") or 1, 3)
            if not case.body.get("max_completion_tokens"):
                case.body["max_tokens"] = min(case.body.get("max_tokens") or 4, 4)
        elif limit := {"/v1/responses": "max_output_tokens", "/v1/messages": "max_tokens"}.get(
            case.path
        ):
            case.body[limit] = min(case.body.get(limit) or 4, 4)
    hold(case)


@real.parametrize()
@QUICK
def test_no_request_breaks_a_real_model(case, real_model):
    hold_real(case)


def _least_values() -> dict[str, Any]:
    """For every number of a completion, the least value that the document allows."""
    fields = openapi_document()["components"]["schemas"]["CompletionRequest"]["properties"]
    found: dict[str, Any] = {"logit_bias": {"1": -100}}
    for name, field in fields.items():
        for told in field.get("anyOf", []):
            if "minimum" in told:
                found[name] = told["minimum"]
            elif "exclusiveMinimum" in told:
                found[name] = math.nextafter(told["exclusiveMinimum"], math.inf)
    return found


@pytest.mark.parametrize(("name", "least"), sorted(_least_values().items()))
def test_the_least_value_of_every_field_gets_an_answer(real_model, name, least):
    # Only an echo may have no tokens behind it.
    body = {"model": "pico", "prompt": "語り部", "max_tokens": 4, "echo": True, name: least}
    case = real["/v1/completions"]["POST"].Case(body=body, media_type="application/json")
    response = case.call()
    assert response.status_code == 200, response.text
