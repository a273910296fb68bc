"""The official clients against `kataribe up` with the default model: everything real."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from kataribe.base.workspace import Workspace
from kataribe.run.catalog.catalog import Catalog
from tests.serve import anthropic_suite, openai_suite, responses_suite

MODEL = "smollm2-135m"
PATIENCE = 240  # seconds; machines may be busy, and no test asserts a time


@pytest.fixture(scope="module")
def url(tmp_path_factory, smollm2_path: Path) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    Catalog(Workspace(home)).import_(smollm2_path, as_name=MODEL, link=True)
    log = home / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kataribe", "up", "--port", "0", "--no-open"],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "KATARIBE_HOME": str(home)},
            start_new_session=True,
        )
    try:
        until = time.monotonic() + PATIENCE
        while not (found := re.search(r"listens at (http://\S+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield found[1] + "/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def checks_of(suite) -> list:
    return [*suite.TEXT_CHECKS, *suite.FORM_CHECKS, *suite.TOOL_CHECKS]


def named(check) -> str:
    return f"{check.__module__.rpartition('.')[2]}.{check.__name__}"


PATIENT = {"api_key": "none", "timeout": PATIENCE, "max_retries": 0}


@pytest.mark.parametrize(
    "check", [*checks_of(openai_suite), *checks_of(responses_suite)], ids=named
)
def test_openais_client_finds_what_it_expects(url, check):
    with OpenAI(base_url=url, **PATIENT) as client:
        check(client, MODEL)


@pytest.mark.parametrize("suite", [openai_suite, responses_suite])
async def test_openais_client_does_so_asynchronously(url, suite):
    async with AsyncOpenAI(base_url=url, **PATIENT) as client:
        await suite.check_async(client, MODEL)


@pytest.mark.parametrize("check", checks_of(anthropic_suite), ids=named)
def test_anthropics_client_finds_what_it_expects(url, check):
    with Anthropic(base_url=url.removesuffix("/v1"), **PATIENT) as client:
        check(client, MODEL)


async def test_anthropics_client_does_so_asynchronously(url):
    async with AsyncAnthropic(base_url=url.removesuffix("/v1"), **PATIENT) as client:
        await anthropic_suite.check_async(client, MODEL)
