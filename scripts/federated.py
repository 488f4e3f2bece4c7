"""Train one model on the examples of many, which stay with them: rounds of federated averaging.

    python scripts/federated.py                                     digits, three participants, three rounds
    python scripts/federated.py --data spam --split 1000,1000       the book's: three who have mail
    python scripts/federated.py --split label --alpha 0.3 --participants 10 --rounds 20 --local-epochs 5
    python scripts/federated.py --data spam --protect masks         the server sees no single update
    python scripts/federated.py --protect noise --clip-norm 0.5 --noise-multiplier 0.5 --participants 100

A table has, for each round, how good the global model is on examples that nobody trained on, each
participant's loss while it learned, what it sent, the seconds, and with noise the privacy spent. In the
folder of the run (--out): rounds.json and model.safetensors, which are written after every round, and
rounds.png. The same command again goes on after the last round that is there.

With --engine local all participants are in this one process: what is protected from whom is shown, not
achieved. With --engine flower the server and each participant are processes of their own, on this machine or
on many:

    python scripts/federated.py --engine flower                                            all of them here
    python scripts/federated.py --engine flower --listen 192.168.1.5:9092 --out RUN        the server
    python scripts/federated.py --join 192.168.1.5:9092 --participant 2 --ca ca.pem        one who takes part

The vocabulary of words is taken from all participants' texts, as if it were public.

Exit code 1, and one line, where a round could not be made; 2 for bad usage and files that cannot be used.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import copy
import sys
import tempfile
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdl_numpy.command_line import Backend, make_console, run, say
from gdl_numpy.federated import Federation, RoundError
from gdl_numpy.federated.experiment import SPLITS, Experiment, learner_of, protection_of
from gdl_numpy.federated.flower import EngineError, check_flower
from gdl_numpy.federated.record import MODEL, ROUNDS, resume_run, save_run
from gdl_numpy.federated.reporting import draw, table_of
from gdl_numpy.files import check_folder, naming, save_figure
from gdl_numpy.messages import counted
from gdl_numpy.models import MODELS
from gdl_numpy.optim import SGD
from gdl_numpy.progress import Bar
from gdl_numpy.tables import print_table
from gdl_numpy.training import evaluate, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdl_numpy.data import Vocabulary
    from gdl_numpy.federated.flower.launch import Server
    from gdl_numpy.tasks import Metrics

app = typer.Typer(add_completion=False)


# What the result does not depend on.
NOT_OF_THE_RUN = ("out", "overwrite", "data_dir", "listen", "join", "participant", "ca", "timeout")


class Protect(StrEnum):
    none = "none"
    masks = "masks"
    paillier = "paillier"
    ckks = "ckks"
    noise = "noise"


class Engine(StrEnum):
    local = "local"
    flower = "flower"


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
        Engine,
        typer.Option(help="Where the participants are: in this process, or by Flower in others."),
    ] = Engine.local,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="For flower: be the server alone; participants --join it."),
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Take part in the run of the server there, and no more."),
    ] = None,
    participant: Annotated[int, typer.Option(min=1, help="For --join: which one to be.")] = 1,
    ca: Annotated[
        Path | None,
        typer.Option(help="For --join: the run's flower/tls/ca.pem, which tells its server from others."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="For flower: seconds in which a participant must answer.")
    ] = 600.0,
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
    settings = {name: value for name, value in locals().items() if name not in NOT_OF_THE_RUN}
    settings = {
        name: str(v) if isinstance(v, StrEnum) else v for name, v in settings.items() if v is not None
    }
    if not timeout < inf:
        raise ValueError(f"--timeout must be finite, got {timeout}")
    if join is not None:
        return take_part(join, participant, ca, data_dir, out, timeout)
    if ca is not None:
        raise ValueError("--ca is for --join: without it, this is the server, which has the file already")
    if engine is Engine.flower:
        check_flower(str(protect))
    elif listen is not None:
        raise ValueError("--listen is for --engine flower: in one process, nobody has to be listened to")
    experiment = Experiment.from_settings(settings, data_dir)
    shards = experiment.shards_of(settings)
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
    learners = learners_of(experiment, shards, backend, settings)
    federation = Federation(
        experiment.task, learners, experiment.data.test, protection, inf if max_norm is None else max_norm
    )
    if not overwrite:
        begin_where_it_ended(folder, federation, settings)
    else:
        (folder / MODEL).unlink(missing_ok=True)
    server = None
    if engine is Engine.flower:
        server = server_of(folder, settings, listen, data_dir, timeout)
    centralised = train_centralised(experiment, rounds * local_epochs)
    console = make_console(110)
    title = f"{type(experiment.task.model).__name__} on {experiment.data.name}, {backend}"
    say(console, f"{title}: {counted(participants, 'participant')}, the server sees {protection.sees}")
    failure: Exception | None = None
    try:
        if server is None:
            run_rounds(federation, rounds, folder, settings, centralised, experiment.data.vocabulary)
        else:
            run_on_flower(server, federation, rounds, folder, settings, centralised)
    except (RoundError, EngineError, OSError, ValueError) as error:  # no average, or no room for it
        failure = error
    if federation.rounds:
        report(federation, centralised, folder, title, delta)
    if failure is not None and not isinstance(failure, RoundError | EngineError):
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


def begin_where_it_ended(folder: Path, federation: Federation, settings: dict[str, Any]) -> None:
    """Takes up the run in the folder, if there is one that has rounds to make.

    Raises:
        ValueError: there is another run, or one that has all its rounds.
    """
    resume_run(folder, federation, settings)
    done = len(federation.rounds)
    if done >= settings["rounds"] or (not done and (folder / ROUNDS).exists()):
        raise ValueError(
            f"{folder} has a run already: choose another with --out, or replace it with --overwrite"
        )
    if done:
        say(make_console(110), f"{folder} has {counted(done, 'round')}: the next is round {done + 1}", folder)


def learners_of(
    experiment: Experiment, shards: Sequence[Any], backend: Backend, settings: dict[str, Any]
) -> list[Any]:
    """The participants, on the backend that was chosen."""
    make: Any = learner_of
    if backend is Backend.torch:
        from gdl_torch.federated.experiment import learner_of as make
    return [make(experiment, shards, number, settings) for number in range(len(shards))]


def take_part(
    join: str, participant: int, ca: Path | None, data_dir: Path | None, out: Path | None, timeout: float
) -> int:
    """Takes part in a run elsewhere; returns the exit code."""
    check_flower("none")
    from gdl_numpy.federated.flower.address import Address
    from gdl_numpy.federated.flower.launch import join as join_run

    address = Address.parse("--join", join)
    if ca is None:
        raise ValueError("--join needs --ca, the file flower/tls/ca.pem of the run's folder on the server")
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = out or Path(temporary)
            check_folder("--out", folder)
            join_run(address, ca, participant, data_dir, folder, timeout)
    except EngineError as error:
        typer.echo(f"federated.py: {error}", err=True)
        return 1
    say(make_console(110), f"the run of {address} is over")
    return 0


def server_of(
    folder: Path, settings: dict[str, Any], listen: str | None, data_dir: Path | None, timeout: float
) -> Server:
    """The server of a run on Flower, which has not begun yet."""
    from gdl_numpy.federated.flower.address import Address
    from gdl_numpy.federated.flower.launch import Server

    address = None if listen is None else Address.parse("--listen", listen)
    console = make_console(110)
    server = Server(folder, settings, timeout, address, data_dir, lambda line: say(console, line))
    if address is not None:
        authority = server.certificates.authority
        say(
            console,
            f"who takes part needs {authority}, and --join {address} --participant 1, 2, …",
            authority,
        )
    return server


def run_on_flower(
    server: Server,
    federation: Federation,
    rounds: int,
    folder: Path,
    settings: dict[str, Any],
    centralised: Metrics,
) -> None:
    """Has the rounds made in other processes, and reads what they have written.

    Raises:
        EngineError: a round could not be made.
    """
    done = len(federation.rounds)
    try:
        with Bar(total=rounds, initial=done, desc="rounds", unit="round", disable=None, leave=False) as bar:
            server.run(centralised.row(), lambda count: advance(bar, count - int(bar.n)))
    finally:
        federation.rounds.clear()
        resume_run(folder, federation, settings)


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


def advance(bar: Bar, steps: int = 1) -> None:
    bar.update(steps)


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
    left = rounds - len(federation.rounds)
    total = left * len(federation.participants)
    with Bar(total=total, desc="round", unit="training", disable=None, leave=False) as bar:
        for record in federation.run(left, lambda _: advance(bar)):
            bar.set_description(f"round {min(record.number + 1, rounds)}")
            bar.set_postfix_str(str(record.metrics))
            save_run(folder, federation, settings, centralised.row(), vocabulary)


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "federated.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
