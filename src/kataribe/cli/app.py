"""The commands together, and the edge where an error becomes one line and an exit code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from kataribe.cli import ask, chat, classify, costs, doctor, embed, evaluate, export, jobs, up
from kataribe.cli.agent import app as agent_app
from kataribe.cli.assistants import app as assistants_app
from kataribe.cli.corpus import app as corpus_app
from kataribe.cli.dataset import app as dataset_app
from kataribe.cli.mcp import app as mcp_app
from kataribe.cli.models import app as models_app
from kataribe.cli.prompts import app as prompts_app
from kataribe.cli.runs import app as runs_app
from kataribe.cli.tokenizer import app as tokenizer_app
from kataribe.cli.traces import app as traces_app
from kataribe.cli.train import app as train_app
from kataribe.cli.users import app as users_app

app = typer.Typer(
    name="kataribe",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: half the start-up time, and the same text in the docs
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(up.up)
app.command("ask")(ask.ask)
app.command("chat")(chat.chat)
app.add_typer(agent_app.app, name="agent")
app.add_typer(prompts_app.app, name="prompts")
app.command("embed")(embed.embed)
app.command("classify")(classify.classify)
app.add_typer(models_app.app, name="models")
app.add_typer(corpus_app.app, name="corpus")
app.command("export")(export.export)
app.command("eval")(evaluate.evaluate)
app.add_typer(train_app.app, name="train")
app.add_typer(runs_app.app, name="runs")
app.add_typer(tokenizer_app.app, name="tokenizer")
app.add_typer(dataset_app.app, name="dataset")
app.add_typer(assistants_app.app, name="assistants")
app.add_typer(mcp_app.app, name="mcp")
app.add_typer(jobs.app, name="jobs")
app.command("costs")(costs.costs)
app.add_typer(traces_app.app, name="traces")
app.add_typer(users_app.app, name="users")
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from kataribe import __version__

        typer.echo(f"kataribe {__version__}")
        raise typer.Exit


@app.callback()
def kataribe(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show where an error came from; works anywhere.")
    ] = False,
) -> None:
    """Language models on machines that you own: make, run, use and prove them.

    `kataribe up` starts the studio and the API; `kataribe ask` and `kataribe chat` answer in the
    terminal.

    Exit codes: 0 done, 1 failed, 2 asked wrongly, 3 no such model or file, 4 busy or not
    available now, 5 key missing or wrong, 130 stopped with Ctrl-C.
    """


def run(arguments: Sequence[str]) -> int:
    """Runs one command and gives its exit code."""
    words, verbose = _take_verbose(arguments)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called: nobody wants to read it
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a narrow encoding loses characters, not replies
    try:
        _command()(words, prog_name="kataribe")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except Exception as error:  # the edge: whatever went wrong becomes one line
        return _explain(error, verbose=verbose)
    return 0


@functools.cache
def _command() -> Any:
    """The commands with their flags: Typer would read them anew for every call."""
    return typer.main.get_command(app)


def _take_verbose(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Takes `--verbose` from wherever it stands, up to a `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [word for word in arguments[:end] if word != "--verbose"]
    return [*kept, *arguments[end:]], len(kept) < end


def _explain(error: Exception, *, verbose: bool) -> int:
    from kataribe.base.errors import KataribeError
    from kataribe.cli import exits
    from kataribe.cli.output import is_full, note

    if verbose:
        import traceback

        note("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, KataribeError):
        note(f"kataribe: {' '.join(error.message.split())}")
        return exits.exit_code(error)
    if is_full(error):
        note(
            f"kataribe: The output cannot be written: {os.strerror(error.errno or 0)}. "
            "Send it to a place with room."
        )
        return exits.FAILED
    hint = "" if verbose else " Add --verbose to see where."
    note(f"kataribe: unexpected {type(error).__name__}: {' '.join(str(error).split())}.{hint}")
    return exits.FAILED
