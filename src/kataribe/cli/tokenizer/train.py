"""`kataribe tokenizer train`: a tokenizer out of a corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.make.tokens.train import Training


def train(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A corpus' name, or a folder or file.")
    ],
    kind: Annotated[
        Literal["bpe", "wordpiece", "unigram"], typer.Option("--kind", help="How it finds pieces.")
    ] = "bpe",
    size: Annotated[
        int, typer.Option("--size", help="Pieces, special tokens and bytes included.")
    ] = 16384,
    mask: Annotated[
        bool, typer.Option("--mask", help="Add a mask token, for masked language models.")
    ] = False,
    sentinels: Annotated[
        int, typer.Option("--sentinels", help="Add so many <extra_id_N>, for denoising (T5: 100).")
    ] = 0,
    as_json: options.Json = False,
) -> None:
    """Train a tokenizer on a corpus, and keep it by a name.

    The same corpus gives the same tokenizer. A corpus beyond 24 MB is sampled all over, and the
    card says how much was used.
    """
    from kataribe.base.errors import InputError
    from kataribe.cli.output import Waiting, emit_json, say
    from kataribe.cli.tokenizer.found import corpus_files, new_tokenizer_path
    from kataribe.make.tokens.corpus_files import read_texts
    from kataribe.make.tokens.kinds import TokenizerPlan
    from kataribe.make.tokens.train import read_card, save_tokenizer, train_tokenizer

    folder = new_tokenizer_path(name)
    if folder.exists():
        raise InputError(f"There is a tokenizer called {name} already; choose another name.")
    plan = TokenizerPlan(kind, size, mask, sentinels)
    files = corpus_files(corpus)
    with Waiting() as line:

        def read(done: int, total: int) -> None:
            line.show(f"Reading {files.name}: {100 * done // max(1, total)} %")

        texts = read_texts(files.splits["train"], read)
        line.show(f"Reading {files.name}")
        inner, training = train_tokenizer(
            texts, plan, told=lambda share: line.show(f"Training: {100 * share:.0f} %")
        )
    save_tokenizer(folder, inner, training, {"corpus": files.name})
    if as_json:
        emit_json(read_card(folder))
        return
    say(f"{name} is here: {folder}")
    _tell(training)


def _tell(training: Training) -> None:
    from kataribe.cli.output import say, size

    plan = training.plan
    used = ""
    if training.used_bytes < training.text_bytes:
        share = training.used_bytes / training.text_bytes
        used = f", trained on {size(training.used_bytes)} ({share:.0%}) of it"
    say(
        f"{plan.kind}, {training.pieces:,} pieces, from {training.documents:,} documents "
        f"({size(training.text_bytes)}){used}, in {training.seconds:.1f} s"
    )
    if training.pieces < plan.vocab_size:
        say(
            f"The corpus gave no more than {training.pieces:,} of the {plan.vocab_size:,} pieces "
            "asked for."
        )
