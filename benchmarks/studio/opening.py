"""A long conversation: how soon it is there, and how soon its next message reaches the model."""

from __future__ import annotations

import time

import httpx
from playwright.sync_api import Browser

from benchmarks.studio.record import Record
from benchmarks.studio.stage import PATIENCE, Server, clock, number, settled, visitor
from benchmarks.studio.workspace import Talk
from kataribe.store.ids import new_id

WARMING = 3
"""Requests that do not count: the first of all wakes caches and threads."""


def over_http(record: Record, key: str, server: Server, talk: Talk, repeats: int) -> None:
    """GET of the conversation, to its last byte."""
    found, size = [], 0
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        for _ in range(WARMING + repeats):
            began = time.perf_counter()
            answer = client.get(f"/studio/api/conversations/{talk.id}")
            found.append(1000 * (time.perf_counter() - began))
            answer.raise_for_status()
            size = len(answer.content)
            if talk.marker not in answer.json()["messages"][-1]["text"]:
                raise RuntimeError(f"{talk.title} came without its newest message.")
    told = f"{talk.messages:,} messages, {talk.bytes / 1e6:.1f} MB"
    said = f"{told}; the answer has {size / 1e3:,.0f} kB"
    record.take(key, found[WARMING:], said)


def by_click(
    record: Record, key: str, browser: Browser, server: Server, talk: Talk, repeats: int
) -> None:
    """From the click in the list until the newest message is painted, in a page just opened."""
    found = []
    for _ in range(repeats):
        with visitor(browser, server, talk.marker) as page:
            page.goto(server.url)
            link = page.get_by_role("link", name=talk.title, exact=True)
            link.wait_for()
            settled(page)
            link.click()
            found.append(number(page, "bench.opened") - number(page, "bench.clicked"))
    record.take(key, found)


def by_reload(
    record: Record, key: str, browser: Browser, server: Server, talk: Talk, repeats: int
) -> None:
    """From the reload of the conversation's own address until its newest message is painted."""
    found = []
    with visitor(browser, server, talk.marker) as page:
        page.goto(f"{server.url}/chat/{talk.id}")
        number(page, "bench.opened")
        settled(page)
        for _ in range(repeats):
            page.reload(wait_until="commit")
            found.append(number(page, "bench.opened"))
            page.wait_for_timeout(500)
    record.take(key, found, "the browser has the scripts already")


def next_over_http(record: Record, key: str, server: Server, talk: Talk, repeats: int) -> None:
    """From POST of a message until the model is asked."""
    found, answered = [], []
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        for place in range(WARMING + repeats):
            known = len(server.notes)
            body = {"id": new_id(), "text": f"What comes next? ({place})"}
            began = time.monotonic()
            answer = client.post(f"/studio/api/conversations/{talk.id}/messages", json=body)
            answered.append(1000 * (time.monotonic() - began))
            answer.raise_for_status()
            found.append(1000 * (server.note("called", known)["at"] - began))
            server.note("wrote", known)
            until_quiet(client, talk)
    said = f"POST was answered after {amount_of(answered[WARMING:])}"
    record.take(key, found[WARMING:], said)


def next_by_enter(
    record: Record, browser: Browser, server: Server, talk: Talk, repeats: int
) -> None:
    """From Enter in the composer until the model is asked."""
    found, wrong = [], 0.0
    client = httpx.Client(base_url=server.url, timeout=PATIENCE)
    with client, visitor(browser, server) as page:
        page.goto(f"{server.url}/chat/{talk.id}")
        number(page, "bench.usable")
        settled(page)
        field = page.get_by_label("Message", exact=True)
        for place in range(1 + repeats):
            known = len(server.notes)
            question = f"And what comes then? ({place})"
            field.fill(question)
            page.wait_for_timeout(300)
            field.press("Enter")
            note = server.note("called", known)
            if note["question"] != question:
                raise RuntimeError(f"The model was asked {note['question']!r}, not {question!r}.")
            offset, error = clock(page)
            wrong = max(wrong, error)
            found.append(1000 * (note["at"] - offset) - number(page, "bench.entered"))
            server.note("wrote", known)
            until_quiet(client, talk)
    said = f"the two clocks are told apart to {1000 * wrong:.1f} ms"
    record.take("next.enter", found[1:], said)


def until_quiet(client: httpx.Client, talk: Talk) -> None:
    """Waits until no reply of a conversation is pending."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        shown = client.get(f"/studio/api/conversations/{talk.id}", params={"tail": 1})
        if not shown.raise_for_status().json()["summary"]["running"]:
            return
        time.sleep(0.02)
    raise TimeoutError(f"{talk.title} still has a pending reply after {PATIENCE:g} s.")


def amount_of(values: list[float]) -> str:
    """`12 ms (10 to 20)`."""
    middle = sorted(values)[len(values) // 2]
    return f"{middle:.0f} ms ({min(values):.0f} to {max(values):.0f})"
