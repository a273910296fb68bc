"""What the studio's own calls work with, beside the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kataribe.base.inside import AttentionSource
    from kataribe.serve.assistants_source import AssistantsSource
    from kataribe.serve.catalog_source import CatalogSource
    from kataribe.serve.costs_source import CostSource
    from kataribe.serve.mcp_source import McpSource
    from kataribe.serve.prompting_source import PromptingSource
    from kataribe.serve.tokenizers_source import TokenizersSource
    from kataribe.serve.training_source import TrainingSource
    from kataribe.store.database import Store
    from kataribe.store.workers import Workers
    from kataribe.use.chats.chats import Chats


@dataclass(frozen=True, slots=True)
class Rooms:
    """The database and what stands on it.

    Attributes:
        store: The database.
        chats: The conversations and their running replies.
        jobs: What takes long, where the server does any.
        catalog: The models that can be had, where the server has any.
        attention: Shows where small models look, where the server can.
        training: The training runs, where the server has any.
        tokenizers: The tokenizers, where the server has any.
        prompting: Prompts that people keep, and techniques, where the server has any.
        sweeps: Called every minute in a thread, to remove what is kept elsewhere and is over.
        assistants: The assistants, where the server has any.
        costs: What was used, where the server adds it up.
        mcp: The MCP servers whose tools assistants use, where the server knows any.
    """

    store: Store
    chats: Chats
    jobs: Workers | None = None
    catalog: CatalogSource | None = None
    attention: AttentionSource | None = None
    training: TrainingSource | None = None
    tokenizers: TokenizersSource | None = None
    prompting: PromptingSource | None = None
    sweeps: tuple[Callable[[], None], ...] = ()
    assistants: AssistantsSource | None = None
    costs: CostSource | None = None
    mcp: McpSource | None = None
