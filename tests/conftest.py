"""What every test shares: a closed network, a workspace of its own, and the real models."""

from __future__ import annotations

import gc
import ipaddress
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODELS_HOME = ROOT / ".cache" / "kataribe"  # never the user's workspace

# What the environment may say to the tests: where models lie, that big ones may be fetched, and
# that whoever runs the tests accepts Gemma's terms of use.
KEPT = ("KATARIBE_TEST_MODELS", "KATARIBE_FETCH", "KATARIBE_ACCEPT_GEMMA_TERMS")

# File names in a folder that KATARIBE_TEST_MODELS names, for machines that have the files already.
FILES = {
    "smollm2-135m": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "qwen2.5-coder-1.5b": "qwen.gguf",
    "gemma-3-270m": "gemma.gguf",
    "e5-small": "e5-small",
}


LONGEST = ("test_chats_interleavings.py", "test_cli_train.py", "test_studio_training_form.py")
"""Files that take a minute or more come first: at the end, one worker would wait for another."""


class NetworkBlockedError(AssertionError):
    """A test tried to reach another machine."""


def _is_local(family: int, address: Any) -> bool:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True  # AF_UNIX, AF_NETLINK: they do not leave the machine
    host = str(address[0])
    if host in ("localhost", ""):
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback or found.is_unspecified


def _block_network(patch: pytest.MonkeyPatch) -> None:
    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}
    resolve = socket.getaddrinfo

    def refuse(address: Any) -> None:
        raise NetworkBlockedError(
            f"A test reached for {address!r}; tests may use the loopback addresses only."
        )

    def guard(name: str) -> Any:
        def guarded(self: socket.socket, *arguments: Any) -> Any:
            if not _is_local(self.family, arguments[-1]):
                refuse(arguments[-1])
            return real[name](self, *arguments)

        return guarded

    def guarded_resolve(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name is not None and not _is_local(socket.AF_INET, (name,)):
            refuse(name)
        return resolve(host, *arguments, **named)

    for name in real:
        patch.setattr(socket.socket, name, guard(name))
    patch.setattr(socket, "getaddrinfo", guarded_resolve)


_patch = pytest.MonkeyPatch()


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is collected: no network, no settings or keys of the user, known threads."""
    for name in list(os.environ):
        ours = name.startswith("KATARIBE_") and name not in KEPT
        if ours or name.endswith("_API_KEY"):
            _patch.delenv(name)
    # Read by torch at import, also in child processes. With two workers side by side, more threads
    # than cores wait for each other.
    _patch.setenv("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
    _patch.setenv("GOMP_SPINCOUNT", "0")  # threads that wait leave their core to the other worker
    _patch.setenv("TOKENIZERS_PARALLELISM", "false")  # else it warns whenever a test forks
    _patch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    _block_network(_patch)
    # A runner in the background ignores Ctrl-C, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Brings the longest files to the front; all else stays in its order."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """What is there now is left out of collections of garbage, and what each file leaves, too.

    Twelve thousand tests and what they were made from are three million objects: walking them took
    1.7 seconds, several times for each model that a test trains or unloads.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Between two files: the same for what has come since."""
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Gives the process back as it was."""
    _patch.undo()


@pytest.fixture(autouse=True)
def kataribe_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty workspace for each test."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KATARIBE_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """The default model's GGUF (SmolLM2-135M-Instruct, Q4_1); fetched when it is not there."""
    return _model("smollm2-135m", fetch=True)


@pytest.fixture(scope="session")
def e5_path() -> Path:
    """The folder of multilingual-e5-small; fetched when it is not there."""
    return _model("e5-small", fetch=True)


@pytest.fixture(scope="session")
def qwen_path() -> Path:
    """Qwen2.5-Coder-1.5B-Instruct's GGUF (Q4_K_M, 1.04 GiB), for slow tests."""
    return _model("qwen2.5-coder-1.5b", fetch="KATARIBE_FETCH" in os.environ)


@pytest.fixture(scope="session")
def gemma_path() -> Path:
    """Gemma 3 270M's GGUF (Q4_K_M), for slow tests; its terms are the tester's to accept."""
    accepted = "KATARIBE_ACCEPT_GEMMA_TERMS" in os.environ
    return _model("gemma-3-270m", fetch=accepted, accept_terms=accepted)


def _model(name: str, *, fetch: bool, accept_terms: bool = False) -> Path:
    """A model's file from the folder that the environment names, or from the tests' workspace."""
    folder = os.environ.get("KATARIBE_TEST_MODELS")
    if folder:
        path = Path(folder) / FILES[name]
        if not path.exists():
            pytest.skip(f"{path} is not there (KATARIBE_TEST_MODELS={folder}).")
        return path
    from kataribe.base.workspace import Workspace
    from kataribe.run.catalog.catalog import Catalog

    catalog = Catalog(Workspace(MODELS_HOME))
    if not catalog.is_installed(name) and not fetch:
        pytest.skip(
            f"{name} is not in {MODELS_HOME}. KATARIBE_FETCH=1 lets the tests fetch it (1.04 GiB "
            "for Qwen); KATARIBE_ACCEPT_GEMMA_TERMS=1 accepts Gemma's terms and fetches that."
        )
    catalog.pull(name, accept_terms=accept_terms)  # through pip, a process of its own
    return catalog.path_of(name)


@pytest.fixture(scope="session")
def pico_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama in Hugging Face's layout with a tokenizer of its own; it babbles."""
    from pico_model import build

    return build(tmp_path_factory.mktemp("models") / "pico")
