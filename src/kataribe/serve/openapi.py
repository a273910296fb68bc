"""The OpenAPI document: what the studio's client is generated from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

import kataribe
from kataribe.serve.shapes import conversations, inside, prompts
from kataribe.serve.shapes.anthropic import AnthropicCountRequest, AnthropicRequest
from kataribe.serve.shapes.anthropic_replies import AnthropicStreamEvent
from kataribe.serve.shapes.assistants import (
    CheckRecipe,
    CopyAssistant,
    PreviewRecipe,
    PutAssistant,
    TestRecipe,
    TestResult,
)
from kataribe.serve.shapes.catalog import Pull
from kataribe.serve.shapes.chat import ChatCompletionRequest
from kataribe.serve.shapes.encoders import ClassifyRequest, EmbeddingRequest
from kataribe.serve.shapes.mcp import CallMcpTool, NewMcpServer
from kataribe.serve.shapes.memory import FactChange
from kataribe.serve.shapes.people import NewKey, PasswordChange, PreferenceChange, SignIn
from kataribe.serve.shapes.replies import ChatCompletionChunk
from kataribe.serve.shapes.residents import LoadRequest, UnloadRequest
from kataribe.serve.shapes.responses import ResponsesRequest
from kataribe.serve.shapes.responses_replies import ResponseStreamEvent
from kataribe.serve.shapes.steps import GiveConsent
from kataribe.serve.shapes.text import (
    CompletionRequest,
    DetokenizeRequest,
    TokenizeChatRequest,
    TokenizeTextRequest,
)
from kataribe.serve.shapes.tokenizers import CompareTokenizers, CutText
from kataribe.serve.shapes.training import NewRun

INCOMING: tuple[type[BaseModel], ...] = (
    ChatCompletionRequest,
    CompletionRequest,
    ResponsesRequest,
    AnthropicRequest,
    AnthropicCountRequest,
    TokenizeTextRequest,
    TokenizeChatRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    ClassifyRequest,
    LoadRequest,
    UnloadRequest,
    Pull,
    SignIn,
    PasswordChange,
    NewKey,
    PreferenceChange,
    conversations.Empty,
    conversations.NewConversation,
    conversations.ConversationChange,
    conversations.FolderRename,
    conversations.Read,
    conversations.Send,
    conversations.Again,
    conversations.Stop,
    conversations.Rate,
    conversations.Vote,
    conversations.QueueChange,
    conversations.Merge,
    GiveConsent,
    FactChange,
    inside.Weigh,
    inside.Attend,
    NewRun,
    CutText,
    CompareTokenizers,
    prompts.NewPrompt,
    prompts.NewVersion,
    prompts.PromptChange,
    prompts.RenderPrompt,
    prompts.LinkReply,
    prompts.RunPrompt,
    PutAssistant,
    CopyAssistant,
    CheckRecipe,
    PreviewRecipe,
    TestRecipe,
    NewMcpServer,
    CallMcpTool,
)
EVENTS: tuple[type[BaseModel], ...] = (
    ChatCompletionChunk,
    ResponseStreamEvent,
    AnthropicStreamEvent,
    prompts.RunEvent,
    TestResult,
)

_ABOUT = (
    "An API in OpenAI's shapes, and below /v1/messages in Anthropic's, for the models of this "
    "machine. Errors are "
    '`{"error": {"message", "type", "code", "param"}}`; an unknown or unsupported field is a 400 '
    "that names it. Extensions to OpenAI's shapes say so in their description."
)


def describe(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The document of these routes."""
    document = get_openapi(
        title="Kataribe",
        version=kataribe.__version__,
        summary="Talk to the models on your own machine",
        description=_ABOUT,
        routes=routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, made = models_json_schema(
        [(shape, "validation") for shape in INCOMING]
        + [(shape, "serialization") for shape in EVENTS],
        ref_template="#/components/schemas/{model}",
    )
    for name, schema in made.get("$defs", {}).items():
        schemas.setdefault(name, schema)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer"},
        "x_api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            operation["responses"].pop("422", None)  # every invalid field is a 400
            keys: list[dict[str, list[str]]] = [{"key": []}, {"x_api_key": []}, {}]
            operation["security"] = [] if path == "/health" else keys
    components["schemas"] = dict(sorted(schemas.items()))
    return document
