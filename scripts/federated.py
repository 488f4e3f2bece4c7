"""Train one model on the examples of many, which stay with them: rounds of federated averaging.

    python scripts/federated.py                                     digits, three participants, three rounds
    python scripts/federated.py --data spam --split 1000,1000       the book's: three who have mail
    python scripts/federated.py --split label --alpha 0.3 --participants 10 --rounds 20 --local-epochs 5
    python scripts/federated.py --data spam --protect masks         the server sees no single update
    python scripts/federated.py --protect noise --clip-norm 0.5 --noise-multiplier 0.5 --participants 100

A table has, for each round, how good the global model is on examples that nobody trained on, each
participant's loss while it learned, what it sent, the seconds, and with noise the privacy spent. In the
folder of the run (--out): rounds.json and model.safetensors, which are written after every round, and
rounds.png.

All participants are in this one process (--engine local): what is protected from whom is shown, not achieved.
The vocabulary of words is taken from all participants' texts, as if it were public.

Exit code 1, and one line, where a round could not be made; 2 for bad usage and files that cannot be used.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import copy
import sys
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdl_numpy.checkpoint import save_model
from gdl_numpy.command_line import Backend, make_console, run, say
from gdl_numpy.federated import Federation, Participant, RoundError, Shard
from gdl_numpy.federated.experiment import SPLITS, Experiment, protection_of
from gdl_numpy.federated.reporting import draw, table_of
from gdl_numpy.files import check_folder, naming, save_figure, write_json
from gdl_numpy.messages import counted
from gdl_numpy.models import MODELS
from gdl_numpy.optim import SGD
from gdl_numpy.progress import Bar
from gdl_numpy.tables import print_table
from gdl_numpy.training import evaluate, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdl_numpy.data import Vocabulary
    from gdl_numpy.tasks import Metrics

app = typer.Typer(add_completion=False)


class Protect(StrEnum):
    none = "none"
    masks = "masks"
    paillier = "paillier"
    ckks = "ckks"
    noise = "noise"


class Engine(StrEnum):
    local = "local"


@app.command()
def federate(
    data: Annotated[str, typer.Option(help="Data set of images or of labelled texts.")] = "digits",
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of all data sets; else $GDL_DATA, else the user's cache.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(MODELS)}.", show_default="MLP for images, SpamClassifier for texts"
        ),
    ] = None,
    backend: Annotated[Backend, typer.Option(help="What the participants train with.")] = Backend.numpy,
    engine: Annotated[
        Engine, typer.Option(help="Where the participants are: in this process.")
    ] = Engine.local,
    participants: Annotated[int, typer.Option(min=2, help="How many there are.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="How often models are averaged.")] = 3,
    local_epochs: Annotated[
        int, typer.Option(min=1, help="Passes of each through its examples in a round.")
    ] = 1,
    split: Annotated[
        str,
        typer.Option(help=f"Who has what: {', '.join(SPLITS)}, or the sizes of all shards but the last."),
    ] = "even",
    alpha: Annotated[float, typer.Option(help="For --split label: small is uneven (Dirichlet).")] = 0.5,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples in a step.")] = 32,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate.", show_default="1 for SpamClassifier, else 0.1")
    ] = None,
    protect: Annotated[
        Protect,
        typer.Option(
            metavar="HOW", help="none, or masks, paillier, ckks or noise: how updates are kept private."
        ),
    ] = Protect.none,
    key_bits: Annotated[int, typer.Option(min=1, help="For --protect paillier.")] = 2048,
    insecure_demo_keys: Annotated[
        bool, typer.Option("--insecure-demo-keys", help="Take keys below 2,048 bits.")
    ] = False,
    clip_norm: Annotated[float, typer.Option(help="For noise: what updates are scaled down to.")] = 1.0,
    noise_multiplier: Annotated[float, typer.Option(help="For noise: its size over --clip-norm.")] = 1.0,
    delta: Annotated[float, typer.Option(help="For noise: the privacy spent is (ε, δ).")] = 1e-5,
    max_norm: Annotated[
        float | None, typer.Option(help="Largest norm of an update that is let in.", show_default="any")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, shards, batches, dropout and noise.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder of the run; else runs/federated-DATA-HOW."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run in that folder.")] = False,
) -> int:
    """Train one model on the examples of many, which stay with them."""
    settings = {
        name: value for name, value in locals().items() if name not in ("out", "overwrite", "data_dir")
    }
    settings = {
        name: str(v) if isinstance(v, StrEnum) else v for name, v in settings.items() if v is not None
    }
    experiment = Experiment.of(data, data_dir, model, batch_size, lr, seed)
    shards = experiment.shards(split, participants, alpha, seed)
    protection = protection_of(
        protect,
        key_bits=key_bits,
        insecure_demo_keys=insecure_demo_keys,
        clip_norm=clip_norm,
        noise_multiplier=noise_multiplier,
        delta=delta,
        seed=seed,
    )
    if protect == "noise":
        keep_account_by_opacus(protection)
    folder = out or Path("runs") / f"federated-{experiment.data.name}-{protect}".replace("/", "-")
    check_folder("--out", folder)
    if (folder / "rounds.json").exists() and not overwrite:
        raise ValueError(
            f"{folder} has a run already: choose another with --out, or replace it with --overwrite"
        )
    learners = learners_of(experiment, shards, backend, local_epochs, seed)
    federation = Federation(
        experiment.task, learners, experiment.data.test, protection, inf if max_norm is None else max_norm
    )
    centralised = train_centralised(experiment, rounds * local_epochs)
    console = make_console(110)
    title = f"{type(experiment.task.model).__name__} on {experiment.data.name}, {backend}"
    say(console, f"{title}: {counted(participants, 'participant')}, the server sees {protection.sees}")
    failure: Exception | None = None
    try:
        run_rounds(federation, rounds, folder, settings, centralised, experiment.data.vocabulary)
    except (RoundError, OSError, ValueError) as error:  # no average, or no room for it
        failure = error
    if federation.rounds:
        report(federation, centralised, folder, title, delta)
    if failure is not None and not isinstance(failure, RoundError):
        raise failure
    if failure is not None:
        typer.echo(f"federated.py: {failure}", err=True)
    return int(failure is not None)


def report(federation: Federation, centralised: Metrics, folder: Path, title: str, delta: float) -> None:
    """Prints the rounds that were made, and draws them."""
    console, rounds = make_console(110), federation.rounds
    names = [participant.name for participant in federation.participants]
    print_table(console, table_of(rounds, names, delta))
    for record in rounds:
        for reason in record.missed.values():
            say(console, f"round {record.number} was made without {reason}")
    say(
        console,
        f"{title}: {rounds[-1].metrics.summary('example')} after {counted(len(rounds), 'round')}; "
        f"trained in one place, {centralised.summary('example')}",
    )
    with naming(folder / "rounds.png"):
        save_figure(draw(rounds, centralised, title), folder / "rounds.png", replace=True)
    say(console, f"saved in {folder}: rounds.json, rounds.png, model.safetensors", folder)


def keep_account_by_opacus(protection: Any) -> None:
    """Has the privacy spent computed by Opacus, or without it by the formula for rounds of all."""
    try:
        from gdl_torch.federated import OpacusAccountant

        protection.accountant = OpacusAccountant()
    except ModuleNotFoundError:
        pass


def learners_of(
    experiment: Experiment, shards: Sequence[Any], backend: Backend, epochs: int, seed: int
) -> list[Any]:
    """The participants, on the backend that was chosen."""
    make: Any = partial(Participant, task=experiment.task, optimizer=partial(SGD, lr=experiment.lr))
    if backend is Backend.torch:
        import torch

        from gdl_torch.export import from_numpy
        from gdl_torch.federated import Participant as TorchParticipant

        model = from_numpy(experiment.task.model, **experiment.task.hparams)
        make = partial(TorchParticipant, model=model, optimizer=partial(torch.optim.SGD, lr=experiment.lr))
    return [
        make(
            f"participant {k + 1}", Shard(experiment.train, rows, seed=seed + k), epochs=epochs, seed=seed + k
        )
        for k, rows in enumerate(shards)
    ]


def train_centralised(experiment: Experiment, epochs: int) -> Metrics:
    """How good the same model is after as many passes through all examples in one place."""
    task = copy.deepcopy(experiment.task)
    with Bar(total=epochs, desc="in one place", unit="epoch", disable=None, leave=False) as bar:
        optimizer = SGD(task.model.parameters(), lr=experiment.lr)
        fit(
            task,
            optimizer,
            experiment.data.train,
            epochs=epochs,
            progress=False,
            on_epoch=lambda _: advance(bar),
        )
    return evaluate(task, experiment.data.test)


def advance(bar: Bar) -> None:
    bar.update()


def run_rounds(
    federation: Federation,
    rounds: int,
    folder: Path,
    settings: dict[str, Any],
    centralised: Metrics,
    vocabulary: Vocabulary | None,
) -> None:
    """Makes the rounds; after each, all that is known is in the folder.

    Raises:
        RoundError: a round could not be made.
    """
    total = rounds * len(federation.participants)
    with Bar(total=total, desc="round 1", unit="training", disable=None, leave=False) as bar:
        for record in federation.run(rounds, lambda _: advance(bar)):
            bar.set_description(f"round {min(record.number + 1, rounds)}")
            bar.set_postfix_str(str(record.metrics))
            rows = [{**asdict(each), "metrics": each.metrics.row()} for each in federation.rounds]
            save_model(folder / "model.safetensors", federation.task.model, vocabulary)
            write_json(
                folder / "rounds.json",
                {"settings": settings, "centralised": centralised.row(), "rounds": rows},
            )


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "federated.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
