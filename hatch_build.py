"""Wheels carry the native runner where it could be built, and then say for which machines."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the library unless it is there; an editable install leaves that to `make`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Names the machine in the wheel's tag if it has anything built for it."""
        if version == "editable":
            return
        script = Path(self.root) / "scripts/native.py"
        described = importlib.util.spec_from_file_location("native", script)
        assert described is not None
        assert described.loader is not None
        native = importlib.util.module_from_spec(described)
        described.loader.exec_module(native)
        if native.BUILT.is_file() or native.build():
            machine = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{machine}"
            build_data["pure_python"] = False
