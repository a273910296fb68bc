from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from kataribe.run.inference.native.library import Library, native_library


@pytest.fixture(scope="session")
def library() -> Library:
    """The native runner's library, where it runs."""
    found = native_library()
    if found is None:
        pytest.skip("The native runner is not built here, or this processor cannot run it.")
    return found


@pytest.fixture(autouse=True, scope="module")
def one_torch_thread() -> Iterator[None]:
    """Tiny products on one thread: waking a second one takes longer than they do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
