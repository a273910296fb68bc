"""The checks of `kataribe doctor`, one function each; none of them changes anything."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kataribe.base.errors import KataribeError
from kataribe.base.settings import load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli.output import size

if TYPE_CHECKING:
    from kataribe.run.catalog.catalog import Catalog

SMALL_MEMORY = 2 * 10**9
"""Bytes of free memory under which even the default model has little room."""

SMALL_DISK = 2 * 10**9
"""Bytes of free disk under which a further model hardly fits."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and what to do where that is not well."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def all_checks() -> Iterator[Check]:
    """The checks one after another; one that breaks is itself a finding."""
    for look in CHECKS:
        try:
            yield from look()
        except KataribeError as error:
            name = look.__name__.removeprefix("_check_")
            yield Check(name, "fail", error.message, "mend that first, then look again")
        except Exception as error:  # a doctor does not fall ill of the patient
            name = look.__name__.removeprefix("_check_")
            yield Check(name, "fail", f"{type(error).__name__}: {error}", "please report this")


def _check_kataribe() -> Iterator[Check]:
    from kataribe import __version__

    yield Check("kataribe", "ok", f"{__version__}, in {Path(__file__).parents[1]}")


def _check_python() -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check("python", "ok", found)


def _check_torch() -> Iterator[Check]:
    try:
        found = version("torch")
    except PackageNotFoundError:
        yield Check("torch", "fail", "missing", "pip install torch==2.13.0")
        return
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Check("torch", "fail", f"{found} does not load: {error}", "install it again")
        return
    yield Check("torch", "ok", f"{found}, {torch.backends.cpu.get_cpu_capability()}")
    yield _gpu(torch)


def _gpu(torch: Any) -> Check:
    if torch.cuda.is_available():
        names = (torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        return Check("gpu", "ok", f"CUDA: {', '.join(names)}")
    if torch.backends.mps.is_available():
        return Check("gpu", "ok", "Apple (mps)")
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        return Check(
            "gpu", "warn", "an NVIDIA driver, but torch is a CPU build", "install torch for CUDA"
        )
    return Check("gpu", "ok", "none; models run on the processor")


def _check_runner() -> Iterator[Check]:
    from kataribe.run.inference.native.library import BUILT, native_library

    if native_library() is not None:
        yield Check("runner", "ok", "native, on the processor")
    elif BUILT.is_file():
        yield Check("runner", "ok", "PyTorch; this processor lacks AVX-512 with bfloat16")
    else:
        yield Check("runner", "warn", "PyTorch; the native one is not built", "make up builds it")


def _check_cores() -> Iterator[Check]:
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        usable = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    found = f"{usable} usable, load {load:.1f}"
    if load > 1.5 * usable:
        yield Check("cores", "warn", found, "other programs keep them busy; replies will be slow")
    else:
        yield Check("cores", "ok", found)


def _check_memory() -> Iterator[Check]:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{size(memory.available)} free of {size(memory.total)}"
    if memory.available < SMALL_MEMORY:
        yield Check("memory", "warn", found, "close programs, or choose small models")
    else:
        yield Check("memory", "ok", found)


def _check_settings() -> Iterator[Check]:
    workspace = Workspace.locate()
    try:
        settings = load_settings()
    except KataribeError as error:
        yield Check("settings", "fail", error.message, f"mend {workspace.config} or KATARIBE_*")
        return
    source = str(workspace.config) if workspace.config.is_file() else "defaults and environment"
    yield Check("settings", "ok", f"model {settings.model}, from {source}")


def _check_workspace() -> Iterator[Check]:
    root = Workspace.locate().root
    nearest = next(folder for folder in (root, *root.parents) if folder.exists())
    if not nearest.is_dir():
        advice = "name a folder with KATARIBE_HOME, or move that file away"
        yield Check("workspace", "fail", f"{root}: {nearest} is no folder", advice)
        return
    free = shutil.disk_usage(nearest).free
    found = f"{root}, {size(free)} free"
    if not os.access(nearest, os.W_OK):
        advice = "make it writable, or choose another with KATARIBE_HOME"
        yield Check("workspace", "fail", f"{found}, not writable", advice)
    elif free < SMALL_DISK:
        yield Check("workspace", "warn", found, "free some disk before the next model")
    else:
        yield Check("workspace", "ok", found)


def _check_models() -> Iterator[Check]:
    from kataribe.cli.opening import open_catalog

    catalog = open_catalog(Workspace.locate())
    here = [entry for entry in catalog.entries() if entry.installed is not None]
    if not here:
        yield Check("models", "warn", "none is here yet", "kataribe up fetches the default one")
        return
    bad = [(entry.name, entry.problem or _damage(catalog, entry.name)) for entry in here]
    for name, problem in bad:
        if problem:
            advice = f"kataribe models rm {name}, then pull or import it again"
            yield Check("models", "fail", f"{name}: {problem}", advice)
    sound = [name for name, problem in bad if not problem]
    if sound:
        yield Check("models", "ok", f"{', '.join(sound)} (checksums verified)")


def _damage(catalog: Catalog, name: str) -> str:
    """What is wrong with a model's files; '' when they are as they came and can be opened."""
    from kataribe.cli.opening import Opening
    from kataribe.files.checksum import verify_sha256
    from kataribe.run.catalog.installed import read_installed

    found = read_installed(catalog.workspace, name)
    try:
        for file in found.card.files:
            verify_sha256(found.folder / file.name, file.sha256)
        Opening().check_model(found.path)
    except KataribeError as error:
        return error.message
    return ""


def _check_port() -> Iterator[Check]:
    from kataribe.cli.running import find_noted, find_running
    from kataribe.serve.ports import listen

    try:
        settings = load_settings()
    except KataribeError:
        return  # told by the check of the settings
    workspace = Workspace.locate()
    running = find_running(workspace)
    if running is not None:
        yield Check("server", "ok", f"runs at {running.url} (process {running.pid})")
        return
    noted = find_noted(workspace)
    if noted is not None:
        state = "still starting" if noted.starting else "does not answer"
        told = f"{state}: {noted.url} (process {noted.pid})"
        yield Check("server", "ok" if noted.starting else "warn", told)
        return
    try:
        listen(settings.host, settings.port).close()
    except KataribeError as error:
        yield Check("port", "fail", error.message)
        return
    yield Check("port", "ok", f"{settings.port} on {settings.host} is free")


def _check_tools() -> Iterator[Check]:
    compiler = next((name for name in ("g++", "clang++", "c++") if shutil.which(name)), None)
    if compiler:
        yield Check("compiler", "ok", compiler)
    else:
        yield Check("compiler", "warn", "none", "install g++: `make` builds the native runner")
    if shutil.which("node"):
        yield Check("node", "ok", str(shutil.which("node")))
    else:
        yield Check(
            "node", "ok", "none; only needed to build the studio, `make` takes it from PyPI"
        )
    studio = Path(__file__).parents[1] / "serve" / "studio" / "index.html"
    if studio.is_file():
        yield Check("studio", "ok", "built")
    else:
        yield Check("studio", "warn", "not built, so there is no web page", "make up builds it")


CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    _check_kataribe,
    _check_python,
    _check_torch,
    _check_runner,
    _check_cores,
    _check_memory,
    _check_workspace,
    _check_settings,
    _check_models,
    _check_tools,
    _check_port,
)
