"""The OpenAPI document: it validates, it is true, and no request made from it breaks the server."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from kataribe.run.providers import Call, Reply, ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.published import openapi_document
from kataribe.serve.settings import ServerSettings
from kataribe.serve.shapes.replies import ChatCompletion, ChatCompletionChunk
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
                    assert schema == {"$ref": "#/components/schemas/ErrorResponse"}
    assert len(set(names)) == len(names)
    assert {
        "createChatCompletion",
        "createCompletion",
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


def _schema() -> schemathesis.BaseSchema:
    app = create_app(
        source_of(ScriptedLM("Hello.")),
        ServerSettings(default_model="scripted", allowed_hosts=("testserver",)),
    )
    return schemathesis.openapi.from_asgi("/openapi.json", app)


# Fields that exclude or need each other cannot be said in a schema, so a request that fits it may
# be refused; `_fits` holds that the refusal is never one that the schema should have told.
NOT_TOLD = [positive_data_acceptance]

QUICK = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=800, derandomize=False, print_blob=True)

schema = _schema()


def _hold(case: schemathesis.Case) -> None:
    response = case.call_and_validate(excluded_checks=NOT_TOLD)
    if case.meta.generation.mode is GenerationMode.POSITIVE and response.status_code == 400:
        assert not response.json()["error"]["message"].startswith(("Field", "Unknown field"))


@schema.parametrize()
@QUICK
def test_no_request_breaks_the_server(case):
    _hold(case)


@pytest.mark.slow
@schema.parametrize()
@LONG
def test_no_request_breaks_the_server_long(case):
    _hold(case)
