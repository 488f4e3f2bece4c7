"""Let a trained language model write: its text appears as it is made.

    python scripts/generate.py runs/lstm/model.safetensors --prompt "ROMEO:" --length 1000 --temperature 0.8
    python scripts/generate.py model.safetensors --top-k 1             greedy: always the likeliest token
    python scripts/generate.py last.ckpt --backend torch --seed 1      a checkpoint of Lightning's

Either backend reads the .safetensors files of train.py and of the export from gdl_torch, and writes the same
text for the same seed; the numpy backend needs no torch. The prompt comes first, then --length tokens and an
end of line. Exit code 130 after Ctrl-C; 2, and one line that says why, for bad usage and files that cannot be
used.

It computes in one thread, unless OMP_NUM_THREADS says otherwise, which may pay for very large models.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()
    # Before NumPy is loaded. A token is less work than two threads have with waiting for each other: on a
    # busy machine the second one makes it ten times slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import io
import shlex
import sys
import time
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdl_numpy import generation
from gdl_numpy.checkpoint import load_model, load_vocabulary
from gdl_numpy.command_line import Backend, Device, check_cpu, run, send_nowhere
from gdl_numpy.messages import counted, plain
from gdl_numpy.models import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gdl_numpy.data import Vocabulary

# So many unknown tokens of a prompt are named.
NAMED = 10
app = typer.Typer(add_completion=False)


@app.command()
def write(
    checkpoint: Annotated[
        Path, typer.Argument(help="A language model's .safetensors; for torch also a .ckpt.")
    ],
    prompt: Annotated[
        str | None, typer.Option(help="Text to begin with; else an end of line, or a word the model knows.")
    ] = None,
    length: Annotated[int, typer.Option(help="Tokens to write.", min=0)] = 500,
    temperature: Annotated[
        float, typer.Option(help="Above 0; below 1 prefers likely tokens, above 1 is bolder.")
    ] = 1.0,
    top_k: Annotated[
        int | None, typer.Option(help="Choose among so many likeliest tokens only; 1 is greedy.", min=1)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="For the same text again; else a new one.", min=0)] = None,
    backend: Annotated[Backend, typer.Option(help="Which side computes.")] = Backend.numpy,
    device: Annotated[Device, typer.Option(help="For the torch backend.")] = Device.auto,
    stats: Annotated[
        bool, typer.Option("--stats", help="At the end, say how fast it was, on stderr.")
    ] = False,
) -> None:
    """Let a trained language model write."""
    if prompt == "":
        raise ValueError("--prompt is empty: give at least one token to begin with, or leave it out")
    load = load_for_torch if backend is Backend.torch else load_for_numpy
    model, vocabulary, generate = load(checkpoint, device)
    if prompt is None:
        prompt = default_prompt(vocabulary)
    say_what_is_unknown(prompt, vocabulary)
    # Neither the unknown token is written, nor what the model could know beyond its vocabulary.
    exclude = [*range(vocabulary.unknown), *range(len(vocabulary), model.vocab_size)]
    ids = generate(model, vocabulary.encode(prompt), length, temperature, top_k, seed, exclude=exclude)
    between = " " if vocabulary.kind == "spaces" else ""
    start = time.perf_counter()
    stream(prompt, (between + vocabulary.tokens[token] for token in ids))
    if stats:
        seconds = time.perf_counter() - start
        rate = f"{length / seconds:,.0f} {vocabulary.unit}s a second"
        typer.echo(f"{counted(length, vocabulary.unit)} in {seconds:.2f} s: {rate} ({backend})", err=True)


def load_for_numpy(path: Path, device: Device) -> tuple[Any, Vocabulary, Callable[..., Iterator[int]]]:
    """The model in a checkpoint, what its ids stand for, and who writes with it.

    Raises:
        ValueError: the checkpoint cannot be used, or not here.
    """
    check_cpu(device)
    if path.suffix == ".ckpt" and path.exists():
        export = f"python -m gdl_torch.export {shlex.quote(str(path))}"
        raise ValueError(
            f"{path} is Lightning's, which numpy cannot read: give --backend torch, or export it, once, "
            f"with `{export}`, and give {path.with_suffix('.safetensors')}"
        )
    model = load_model(path)
    if not isinstance(model, LanguageModel):
        raise ValueError(
            f"{path} holds a model that writes no text, {type(model).__name__}: "
            "give the checkpoint of a language model"
        )
    return model, load_vocabulary(path), generation.generate


def load_for_torch(path: Path, device: Device) -> tuple[Any, Vocabulary, Callable[..., Iterator[int]]]:
    """The same with torch, on the device."""
    from gdl_torch import generation as torch_generation
    from gdl_torch.device import accelerator

    place = accelerator(device)
    model = torch_generation.load_language_model(path)
    if model.vocabulary is None:
        raise ValueError(
            f"{path} holds no vocabulary: give the checkpoint of a language model that was trained on text"
        )
    return model.to(place), model.vocabulary, torch_generation.generate


def default_prompt(vocabulary: Vocabulary) -> str:
    """An end of line, else the first word or letter, else the first token that is known."""
    known = vocabulary.tokens[vocabulary.unknown :]
    if not known:
        raise ValueError("the checkpoint's vocabulary knows no token: give another checkpoint")
    return "\n" if "\n" in known else next((token for token in known if token.isalpha()), known[0])


def say_what_is_unknown(prompt: str, vocabulary: Vocabulary) -> None:
    """Names, on stderr, what of the prompt the model does not know.

    Raises:
        ValueError: there is such, and no token to read instead.
    """
    missing = vocabulary.unknown_in(prompt)
    if not missing:
        return
    names = ", ".join(map(repr, missing[:NAMED]))
    if len(missing) > NAMED:
        names += f" and {len(missing) - NAMED} more"
    if not vocabulary.unknown:
        raise ValueError(
            f"--prompt has {names}, which the model's vocabulary lacks, and there is no unknown token in it"
        )
    typer.echo(f"generate.py: the model does not know {names}: read as its unknown token", err=True)


def stream(prompt: str, pieces: Iterable[str]) -> None:
    """Writes the text to stdout, each piece as it comes; to a terminal without a terminal's commands.

    Raises:
        typer.Exit: nobody reads on, as in `| head`: all is well.
        OSError: stdout cannot be written to.
    """
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")  # where the terminal's encoding lacks a character
    shown = plain if out.isatty() else str
    try:
        print(shown(prompt), end="", flush=True, file=out)
        for piece in pieces:
            print(shown(piece), end="", flush=True, file=out)
        print(flush=True, file=out)
    except OSError as error:
        send_nowhere(out)
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(0) from None
        raise


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "generate.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
