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
from dataclasses import dataclass
from importlib import import_module
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gdl_numpy.command_line import make_console, run, say
from gdl_numpy.federated import Federation, RoundError
from gdl_numpy.federated.experiment import Experiment, Protect
from gdl_numpy.federated.flags import Engine, FederatedFlags
from gdl_numpy.federated.flower import EngineError
from gdl_numpy.federated.record import MODEL, ROUNDS, resume_run, save_run
from gdl_numpy.federated.reporting import draw, table_of
from gdl_numpy.files import check_folder, naming, save_figure
from gdl_numpy.messages import counted
from gdl_numpy.optim import SGD
from gdl_numpy.progress import Bar
from gdl_numpy.tables import print_table
from gdl_numpy.training import evaluate, fit

if TYPE_CHECKING:
    from gdl_numpy.federated.flower.launch import Server
    from gdl_numpy.tasks import Metrics

app = typer.Typer(add_completion=False)


def federate(flags: FederatedFlags) -> int:
    """Makes the rounds that the options describe; returns the exit code."""
    run = plan(flags)
    run.take_up()
    server = server_of(run) if flags.engine is Engine.flower else None
    centralised = train_centralised(run.experiment, flags.rounds * flags.local_epochs)
    sees = run.federation.protection.sees
    console = make_console(110)
    say(console, f"{run.title}: {counted(flags.participants, 'participant')}, the server sees {sees}")
    failure: Exception | None = None
    try:
        if server is None:
            run_here(run, centralised)
        else:
            run_on_flower(run, server, centralised)
    except (RoundError, EngineError, OSError, ValueError) as error:  # no average, or no room for it
        failure = error
    if run.federation.rounds:
        report(run, centralised)
    if failure is not None and not isinstance(failure, RoundError | EngineError):
        raise failure
    if failure is not None:
        typer.echo(f"federated.py: {failure}", err=True)
    return int(failure is not None)


@dataclass(frozen=True)
class Run:
    """A federated run, whichever engine makes its rounds.

    Attributes:
        flags: how.
        experiment: what is learned, and from what.
        federation: the global model and those who train it.
        folder: of all that is kept.
    """

    flags: FederatedFlags
    experiment: Experiment
    federation: Federation
    folder: Path

    @property
    def title(self) -> str:
        """What it is called in the table and the picture."""
        model = type(self.experiment.task.model).__name__
        return f"{model} on {self.experiment.data.name}, {self.flags.backend}"

    def resume(self) -> None:
        """Reads the rounds in the folder, if there are any."""
        resume_run(self.folder, self.federation, self.flags.settings)

    def take_up(self) -> None:
        """Goes on with the run in the folder, if there is one that has rounds to make and is not to go.

        Raises:
            ValueError: there is another run, or one that has all its rounds.
        """
        folder = self.folder
        if self.flags.overwrite:
            (folder / MODEL).unlink(missing_ok=True)
            return
        self.resume()
        done = len(self.federation.rounds)
        if done >= self.flags.rounds or (not done and (folder / ROUNDS).exists()):
            raise ValueError(
                f"{folder} has a run already: choose another with --out, or replace it with --overwrite"
            )
        if done:
            text = f"{folder} has {counted(done, 'round')}: the next is round {done + 1}"
            say(make_console(110), text, folder)


def plan(flags: FederatedFlags) -> Run:
    """The run that the options describe, ready to begin, and nothing of it written yet.

    Raises:
        ValueError: options that do not go together, or not with the data.
        DataError: the data are damaged, or are missing and cannot be downloaded.
    """
    experiment = Experiment.from_settings(flags.settings, flags.data_dir)
    shards = experiment.shards_of(flags.settings)
    protection: Any = flags.protection()
    if flags.protect is Protect.noise:
        keep_account_by_opacus(protection)
    folder = flags.folder(experiment.data.name)
    check_folder("--out", folder)
    learner_of = import_module(f"gdl_{flags.backend}.federated.experiment").learner_of
    learners = [learner_of(experiment, shards, number, flags.settings) for number in range(len(shards))]
    limit = inf if flags.max_norm is None else flags.max_norm
    federation = Federation(experiment.task, learners, experiment.data.test, protection, limit)
    return Run(flags, experiment, federation, folder)


def keep_account_by_opacus(protection: Any) -> None:
    """Has the privacy spent computed by Opacus, or without it by the formula for rounds of all."""
    try:
        from gdl_torch.federated import OpacusAccountant

        protection.accountant = OpacusAccountant()
    except ModuleNotFoundError:
        pass


def train_centralised(experiment: Experiment, epochs: int) -> Metrics:
    """How good the same model is after as many passes through all examples in one place."""
    task = copy.deepcopy(experiment.task)
    optimizer = SGD(task.model.parameters(), lr=experiment.lr)
    with Bar(total=epochs, desc="in one place", unit="epoch", disable=None, leave=False) as bar:
        options: dict[str, Any] = {"epochs": epochs, "progress": False, "on_epoch": lambda _: bar.update()}
        fit(task, optimizer, experiment.data.train, **options)
    return evaluate(task, experiment.data.test)


def run_here(run: Run, centralised: Metrics) -> None:
    """Makes the rounds in this process; after each, all that is known is in the folder.

    Raises:
        RoundError: a round could not be made.
    """
    federation, rounds, vocabulary = run.federation, run.flags.rounds, run.experiment.data.vocabulary
    left = rounds - len(federation.rounds)
    total = left * len(federation.participants)
    with Bar(total=total, desc="round", unit="training", disable=None, leave=False) as bar:
        for record in federation.run(left, lambda _: advance(bar)):
            bar.set_description(f"round {min(record.number + 1, rounds)}")
            bar.set_postfix_str(str(record.metrics))
            save_run(run.folder, federation, run.flags.settings, centralised.row(), vocabulary)


def run_on_flower(run: Run, server: Server, centralised: Metrics) -> None:
    """Has the rounds made in other processes, and reads what they have written.

    Raises:
        EngineError: a round could not be made.
    """
    rounds, done = run.flags.rounds, len(run.federation.rounds)
    try:
        with Bar(total=rounds, initial=done, desc="rounds", unit="round", disable=None, leave=False) as bar:
            server.run(centralised.row(), lambda count: advance(bar, count - int(bar.n)))
    finally:
        run.federation.rounds.clear()
        run.resume()


def advance(bar: Bar, steps: int = 1) -> None:
    bar.update(steps)


def server_of(run: Run) -> Server:
    """The server of a run on Flower, which has not begun yet."""
    from gdl_numpy.federated.flower.address import Address
    from gdl_numpy.federated.flower.launch import Server

    flags, console = run.flags, make_console(110)
    address = None if flags.listen is None else Address.parse("--listen", flags.listen)
    server = Server(
        run.folder, flags.settings, flags.timeout, address, flags.data_dir, lambda line: say(console, line)
    )
    if address is not None:
        authority = server.certificates.authority
        text = f"who takes part needs {authority}, and --join {address} --participant 1, 2, …"
        say(console, text, authority)
    return server


def take_part(flags: FederatedFlags) -> int:
    """Takes part in a run elsewhere; returns the exit code."""
    from gdl_numpy.federated.flower.address import Address
    from gdl_numpy.federated.flower.launch import join

    address = Address.parse("--join", flags.join or "")
    if flags.ca is None:
        raise ValueError("--join needs --ca, the file flower/tls/ca.pem of the run's folder on the server")
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = flags.out or Path(temporary)
            check_folder("--out", folder)
            join(address, flags.ca, flags.participant, flags.data_dir, folder, flags.timeout)
    except EngineError as error:
        typer.echo(f"federated.py: {error}", err=True)
        return 1
    say(make_console(110), f"the run of {address} is over")
    return 0


def report(run: Run, centralised: Metrics) -> None:
    """Prints the rounds that were made, and draws them."""
    console, rounds, folder = make_console(110), run.federation.rounds, run.folder
    names = [participant.name for participant in run.federation.participants]
    print_table(console, table_of(rounds, names, run.flags.delta))
    for record in rounds:
        for reason in record.missed.values():
            say(console, f"round {record.number} was made without {reason}")
    say(
        console,
        f"{run.title}: {rounds[-1].metrics.summary('example')} after {counted(len(rounds), 'round')}; "
        f"trained in one place, {centralised.summary('example')}",
    )
    with naming(folder / "rounds.png"):
        save_figure(draw(rounds, centralised, run.title), folder / "rounds.png", replace=True)
    say(console, f"saved in {folder}: rounds.json, rounds.png, model.safetensors", folder)


def command(**values: Any) -> int:
    """Train one model on the examples of many, which stay with them."""
    flags = FederatedFlags(**values)
    return federate(flags) if flags.join is None else take_part(flags)


command.__signature__ = FederatedFlags.signature()  # type: ignore[attr-defined]
app.command()(command)


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "federated.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
