"""`kataribe models load / unload / ps`: which models the running server has in memory."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kataribe.cli import options

Name = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]


def load(
    name: Name,
    hold: Annotated[
        bool, typer.Option("--hold/--no-hold", help="Keep it until it is unloaded.")
    ] = True,
    as_json: options.Json = False,
) -> None:
    """Load a model into the running server now, and keep it there."""
    from kataribe.cli.output import Waiting, emit_json, say, size

    with Waiting() as waiting:
        waiting.show(f"Loading {name}")
        found = _call("POST", "/studio/api/models/load", {"model": name, "hold": hold})
    if as_json:
        emit_json(found)
    else:
        held = ", held" if found["held"] else ""
        say(f"{found['name']} is loaded ({size(found['memory'])}{held}).")


def unload(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Even while it answers; its replies break off.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Let the running server forget a model, and free its memory."""
    from kataribe.cli.output import emit_json, say

    left = _call("POST", "/studio/api/models/unload", {"model": name, "force": force})["data"]
    if as_json:
        emit_json({"name": name, "loaded": left})
    else:
        say(f"{name} is unloaded.")


def ps(as_json: options.Json = False) -> None:
    """List the models that the running server has in memory."""
    from kataribe.cli.output import emit_json, note, size, table

    models = _call("GET", "/studio/api/models/loaded")["data"]
    if as_json:
        emit_json(models)
        return
    if not models:
        note("No model is loaded; the next request loads one.")
        return
    rows = [(each["name"], each["state"], size(each["memory"]), _use(each)) for each in models]
    table(("MODEL", "STATE", "MEMORY", "USE"), rows)


def _use(model: dict[str, Any]) -> str:
    use = f"{model['leases']} answering" if model["leases"] else f"idle {model['idle']:.0f} s"
    return f"{use}, held" if model["held"] else use


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """One call of the running server of this workspace."""
    from kataribe.base.errors import UnavailableError
    from kataribe.base.settings import load_settings
    from kataribe.base.workspace import Workspace
    from kataribe.cli.running import find_noted, find_running
    from kataribe.cli.served import call

    workspace = Workspace.locate()
    running = find_running(workspace)
    if running is None:
        noted = find_noted(workspace)
        if noted is not None:
            state = "is still starting" if noted.starting else "does not answer"
            raise UnavailableError(
                f"The server at {noted.url} (process {noted.pid}) {state}. Try again soon."
            )
        raise UnavailableError("No server of this workspace runs. Start it with: kataribe up")
    return call(running.url, load_settings().key, method, path, body)
