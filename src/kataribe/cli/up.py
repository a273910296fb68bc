"""`kataribe up`: the studio and the API, in one process, until Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.base.settings import Settings
    from kataribe.base.workspace import Workspace


def up(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on [default: 127.0.0.1].")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", help="Key that clients must send; better set KATARIBE_KEY."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="A further name that it answers to; may be repeated."),
    ] = None,
    model: options.Model = None,
    ctx: options.Context = None,
    threads: options.Threads = None,
    memory: Annotated[
        float | None,
        typer.Option("--memory", help="GiB for loaded models [default: 70 % of the machine's]."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, float32, bfloat16, int8 or int4.")
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Do not open the studio in a browser.")
    ] = False,
) -> None:
    """Start the studio and the API here; print where.

    Fetches the default model the first time. When a server of this workspace runs already, prints
    its address and ends with code 0.
    """
    from kataribe.base.settings import load_settings
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import say
    from kataribe.cli.running import find_noted

    settings = load_settings(
        host=host,
        port=port,
        key=key,
        hosts=tuple(allow_host) if allow_host else None,
        model=model,
        ctx=ctx,
        threads=threads,
        memory=memory,
        precision=precision,
    )
    workspace = Workspace.locate()
    noted = find_noted(workspace)
    if noted is not None:
        say(f"Kataribe runs already: {noted.url}" + (", still starting" if noted.starting else ""))
        return
    _serve(settings, workspace, open_browser=not no_open)


def _serve(settings: Settings, workspace: Workspace, *, open_browser: bool) -> None:
    import contextlib
    import os
    import sys

    from kataribe.cli import wiring
    from kataribe.cli.exits import DONE
    from kataribe.cli.logs import start_logs
    from kataribe.cli.models.pull import ensure_default
    from kataribe.cli.output import say
    from kataribe.cli.running import leave_note
    from kataribe.serve.ports import address_of, listen
    from kataribe.serve.server import serve_on
    from kataribe.serve.settings import check_bind

    start_logs(settings.log_level)
    check_bind(wiring.server_settings(settings))
    listening = listen(settings.host, settings.port)  # a taken port is told before anything slow
    with contextlib.ExitStack() as at_end:
        at_end.callback(listening.close)
        at_end.enter_context(leave_note(workspace, address_of(listening), starting=True))
        ensure_default(settings, workspace)

        def ready(url: str) -> None:
            at_end.enter_context(leave_note(workspace, url))
            say(f"Kataribe listens at {url} (Ctrl-C stops it)")
            if open_browser:
                _open_when_seen(url)

        app = at_end.enter_context(wiring.open_app(settings, workspace))
        serve_on(app, listening, ready=ready)
    if app.state.is_loading():  # everything is put away, and nothing waits for half a model
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(DONE)


def _open_when_seen(url: str) -> None:
    """Opens the studio where somebody sits at a screen; the server's socket listens already."""
    import os
    import sys
    import threading
    import webbrowser

    screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if screen and sys.stdout.isatty():
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
