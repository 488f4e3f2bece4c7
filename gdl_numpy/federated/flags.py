"""What is learned, by whom, and how: the options of `scripts/federated.py`, each with its help."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from gdl_numpy.command_line import Backend
from gdl_numpy.federated.experiment import SPLITS, Protect, protection_of
from gdl_numpy.federated.flower import check_flower
from gdl_numpy.models import MODELS

if TYPE_CHECKING:
    from gdl_numpy.federated.averaging import Protection

# What the result does not depend on.
NOT_OF_THE_RUN = ("out", "overwrite", "data_dir", "listen", "join", "participant", "ca", "timeout")


class Engine(StrEnum):
    local = "local"
    flower = "flower"


@dataclass(frozen=True, kw_only=True)
class FederatedFlags:
    """The options of a run, or of who joins one.

    Raises:
        ValueError: options that cannot be meant together, or an engine that is not installed.
    """

    data: Annotated[str, typer.Option(help="Data set of images or of labelled texts.")] = "digits"
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of all data sets; else $GDL_DATA, else the user's cache.")
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(MODELS)}.", show_default="MLP for images, SpamClassifier for texts"
        ),
    ] = None
    backend: Annotated[Backend, typer.Option(help="What the participants train with.")] = Backend.numpy
    engine: Annotated[
        Engine, typer.Option(help="Where the participants are: in this process, or by Flower in others.")
    ] = Engine.local
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="For flower: be the server alone; participants --join it."),
    ] = None
    join: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Take part in the run of the server there, and no more."),
    ] = None
    participant: Annotated[int, typer.Option(min=1, help="For --join: which one to be.")] = 1
    ca: Annotated[
        Path | None,
        typer.Option(help="For --join: the run's flower/tls/ca.pem, which tells its server from others."),
    ] = None
    timeout: Annotated[
        float, typer.Option(min=1, help="For flower: seconds in which a participant must answer.")
    ] = 600.0
    participants: Annotated[int, typer.Option(min=2, help="How many there are.")] = 3
    rounds: Annotated[int, typer.Option(min=1, help="How often models are averaged.")] = 3
    local_epochs: Annotated[
        int, typer.Option(min=1, help="Passes of each through its examples in a round.")
    ] = 1
    split: Annotated[
        str, typer.Option(help=f"Who has what: {', '.join(SPLITS)}, or the sizes of all shards but the last.")
    ] = "even"
    alpha: Annotated[float, typer.Option(help="For --split label: small is uneven (Dirichlet).")] = 0.5
    batch_size: Annotated[int, typer.Option(min=1, help="Examples in a step.")] = 32
    lr: Annotated[
        float | None, typer.Option(help="Learning rate.", show_default="1 for SpamClassifier, else 0.1")
    ] = None
    protect: Annotated[
        Protect,
        typer.Option(
            metavar="HOW", help="none, or masks, paillier, ckks or noise: how updates are kept private."
        ),
    ] = Protect.none
    key_bits: Annotated[int, typer.Option(min=1, help="For --protect paillier.")] = 2048
    insecure_demo_keys: Annotated[
        bool, typer.Option("--insecure-demo-keys", help="Take keys below 2,048 bits.")
    ] = False
    clip_norm: Annotated[float, typer.Option(help="For noise: what updates are scaled down to.")] = 1.0
    noise_multiplier: Annotated[float, typer.Option(help="For noise: its size over --clip-norm.")] = 1.0
    delta: Annotated[float, typer.Option(help="For noise: the privacy spent is (ε, δ).")] = 1e-5
    max_norm: Annotated[
        float | None, typer.Option(help="Largest norm of an update that is let in.", show_default="any")
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Of weights, shards, batches, dropout and noise.")] = 0
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder of the run; else runs/federated-DATA-HOW.")
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run in that folder.")] = False

    def __post_init__(self) -> None:
        if not self.timeout < inf:
            raise ValueError(f"--timeout must be finite, got {self.timeout}")
        if self.join is not None:
            check_flower("none")
        elif self.ca is not None:
            raise ValueError("--ca is for --join: without it, this is the server, which has the file already")
        elif self.engine is Engine.flower:
            check_flower(str(self.protect))
        elif self.listen is not None:
            raise ValueError("--listen is for --engine flower: in one process, nobody has to be listened to")

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the run this one, in JSON's types."""
        return {
            name: str(value) if isinstance(value, StrEnum) else value
            for name, value in vars(self).items()
            if name not in NOT_OF_THE_RUN and value is not None
        }

    def folder(self, data: str) -> Path:
        """Where the run is, on a data set of a name."""
        return self.out or Path("runs") / f"federated-{data}-{self.protect}".replace("/", "-")

    def protection(self) -> Protection:
        """Returns how updates are kept private.

        Raises:
            ValueError: a library that it needs is not installed, or an option is out of its range.
        """
        names = ("key_bits", "insecure_demo_keys", "clip_norm", "noise_multiplier", "delta", "seed")
        return protection_of(str(self.protect), **{name: getattr(self, name) for name in names})

    @classmethod
    def signature(cls) -> inspect.Signature:
        """The signature of a command that takes all of them, as typer reads it."""
        kinds = get_type_hints(cls, include_extras=True)
        keyword = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [
                inspect.Parameter(each.name, keyword, default=each.default, annotation=kinds[each.name])
                for each in fields(cls)
            ]
        )
