"""The hook through which a model searches documents; who has documents gives the search."""

from __future__ import annotations

from kataribe.base.errors import InputError
from kataribe.use.agents.tools.function import FunctionTool, function_tool
from kataribe.use.prompts.retrieval import Search

MOST_PASSAGES = 20


def document_search_tool(
    search: Search, *, name: str = "search_documents", about: str = "the documents"
) -> FunctionTool:
    """The tool that searches; `about` says in a few words what is in the documents."""

    async def search_documents(query: str, passages: int = 5) -> str:
        """Searches.

        Args:
            query: What to look for, in words that the text may have.
            passages: How many at most, 1 to 20.
        """
        if not 1 <= passages <= MOST_PASSAGES:
            raise InputError(f"{passages} passages were wanted; give 1 to {MOST_PASSAGES}.")
        if not query.strip():
            raise InputError("The query is empty; say what to look for.")
        found = await search(query, passages)
        told = [f"[{n}] {each.source}\n{each.text}" for n, each in enumerate(found[:passages], 1)]
        return "\n\n".join(told) or f"Nothing was found for {query!r}."

    return function_tool(
        search_documents,
        name=name,
        description=f"Searches {about} and gives the passages that fit best, with their sources.",
    )
