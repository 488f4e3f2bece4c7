"""Vanishing and exploding gradients: the numbers of chapter 14, and a picture of how real models fare.

    python scripts/gradient_flow.py                         an RNN and an LSTM, trained for half a minute
    python scripts/gradient_flow.py --checkpoint runs/lstm/model.safetensors --steps 100

In gradient-flow.png: the book's ten steps through [[1, 4], [4, 1]]; how much the loss of one prediction
depends on the state of k steps ago, in an RNN and in an LSTM; and the gradient of a ReLU network whose
learning rate is too large, clipped and not. Exit code 2, and one line that says why, for bad usage.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import math
import sys
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from gdl_numpy import gradient_flow
from gdl_numpy.checkpoint import CheckpointError, load_model, load_vocabulary
from gdl_numpy.command_line import Backend, make_console, run
from gdl_numpy.data import Streams, TextDataModule, TextDataset, Vocabulary, load
from gdl_numpy.files import check_folder, naming, save_figure
from gdl_numpy.messages import counted, kind_of, literal
from gdl_numpy.models import LanguageModel, LSTMLanguageModel, RNNLanguageModel
from gdl_numpy.optim import Adam
from gdl_numpy.progress import Bar
from gdl_numpy.tables import print_table
from gdl_numpy.tasks import LanguageModelling
from gdl_torch import gradient_flow as torch_gradient_flow
from gdl_torch.export import from_numpy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    Norms = dict[str, np.ndarray]

SIZES: dict[str, Any] = {"embedding_dim": 64, "hidden_size": 128}
STREAMS, CHUNK = 32, 50
LR, TRAINING_CLIP = 3e-3, 1.0  # of Adam
# A learning rate that is too large for a ReLU network, what makes it bearable, and for how many steps.
LARGE_LR, CLIP_NORM, CLIPPED_STEPS = 1.5, 1.0, 60
ORANGE, BLUE = "#d94801", "#08306b"
COLOURS = (ORANGE, BLUE, "#238b45", "#6a51a3", "#525252")
app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Subject:
    """What became of a model's gradients on their way back: its `gradient_reach`, also before training."""

    name: str
    reach: Norms
    untrained: Norms = field(default_factory=dict)


@app.command()
def show(
    data: Annotated[str, typer.Option(help="Data set, of running text.")] = "python_docs",
    data_dir: Annotated[
        Path | None, typer.Option(help="Its folder; else $GDL_DATA, else the user's cache.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="How far to go back, in the real models.")] = 50,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A trained language model; more than one can be given."),
    ] = None,
    training_steps: Annotated[
        int, typer.Option(min=0, help="For how long to train the two models that are made without one.")
    ] = 300,
    backend: Annotated[Backend, typer.Option(help="Which side computes the gradients.")] = Backend.numpy,
    out: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Where the picture goes.")
    ] = Path(),
) -> None:
    """Show how gradients vanish and explode: chapter 14's demonstration, and real models."""
    check_folder("--out", out)
    dataset = load(data, data_dir)
    if not TextDataModule.accepts(dataset):
        raise ValueError(
            f"gradients are followed through running text, but {dataset.name} has none: choose other --data"
        )
    side = Side(backend)
    if checkpoint:
        subjects = [from_checkpoint(side, path, dataset, steps) for path in checkpoint]
    else:
        subjects = list(briefly_trained(side, dataset, steps, training_steps))
    clipping = clipped_and_not(side, dataset)

    console = make_console(100)
    print_table(console, demonstration_table())
    what = " how much the loss of one prediction depends on the state of some steps ago"
    console.print(Text.assemble("\n", ("Real models:", "bold"), what))
    print_table(console, reach_table(subjects, steps))
    print_clipping(console, clipping)
    path = out / "gradient-flow.png"
    draw(path, subjects, clipping)
    console.print(f"drawn in {path}", soft_wrap=True)


@dataclass(frozen=True)
class Side:
    """Either backend: the models come as NumPy's."""

    backend: Backend

    def reach(self, model: LanguageModel, text: np.ndarray, steps: int) -> Norms:
        if self.backend is Backend.numpy:
            return gradient_flow.gradient_reach(model, text, steps)
        twin: Any = from_numpy(model)
        return torch_gradient_flow.gradient_reach(twin, text, steps)

    def norms(self, model: LanguageModel, batches: Any, clip_norm: float) -> tuple[np.ndarray, np.ndarray]:
        if self.backend is Backend.numpy:
            return gradient_flow.gradient_norms(model, batches, LARGE_LR, clip_norm)
        twin: Any = from_numpy(model)
        return torch_gradient_flow.gradient_norms(twin, batches, LARGE_LR, clip_norm)


def from_checkpoint(side: Side, path: Path, dataset: TextDataset, steps: int) -> Subject:
    model = load_model(path)
    if not isinstance(model, RNNLanguageModel | LSTMLanguageModel):
        raise CheckpointError(
            f"{path} holds {kind_of(model)}: give the checkpoint of an RNN or LSTM language model"
        )
    name = path.parent.name if path.stem == "model" else path.stem
    return Subject(name, side.reach(model, to_ask_on(load_vocabulary(path), dataset, steps), steps))


def to_ask_on(vocabulary: Vocabulary, dataset: TextDataset, steps: int) -> np.ndarray:
    """Text that no model was trained on: 32 columns, as long again before the steps to go back."""
    ids, time = vocabulary.encode(dataset.validation), 2 * steps + 2
    if len(ids) <= STREAMS * time:
        longest = (len(ids) - 1) // STREAMS // 2 - 1
        raise ValueError(
            f"--steps {steps} is too far for {dataset.name}: its text allows for up to {longest}"
        )
    text: np.ndarray = Streams(ids, STREAMS, time)[0][0]
    return text


def briefly_trained(side: Side, dataset: TextDataset, steps: int, training_steps: int) -> Iterator[Subject]:
    """An RNN and an LSTM of one size, trained for equally many steps."""
    vocabulary = Vocabulary.build(dataset.train)
    text = to_ask_on(vocabulary, dataset, steps)
    feed = Streams(vocabulary.encode(dataset.train), STREAMS, CHUNK)
    for name, kind in (("RNN", RNNLanguageModel), ("LSTM", LSTMLanguageModel)):
        model = kind(len(vocabulary), **SIZES, rng=0)
        untrained = side.reach(model, text, steps)
        task = LanguageModelling(model)
        task.begin(continues=True)
        optimizer = Adam(model.parameters(), LR)
        batches = islice(cycle(feed), training_steps)
        with Bar(batches, f"training the {name}", training_steps, leave=False, disable=None) as bar:
            for batch in bar:
                task.step(optimizer, batch, TRAINING_CLIP)
                bar.set_postfix_str(str(task.metrics), refresh=False)
        yield Subject(name, side.reach(model, text, steps), untrained)


def clipped_and_not(side: Side, dataset: TextDataset) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Norms of the gradient, and losses, of a ReLU network from the same start with and without clipping."""
    vocabulary = Vocabulary.build(dataset.train)
    feed = Streams(vocabulary.encode(dataset.train), STREAMS, CHUNK)
    batches = list(islice(feed, CLIPPED_STEPS))
    model = RNNLanguageModel(len(vocabulary), **SIZES, nonlinearity="relu", rng=0)
    found = {}
    for name, clip_norm in (("not clipped", math.inf), (f"clipped to {CLIP_NORM:g}", CLIP_NORM)):
        found[name] = side.norms(model, Bar(batches, f"ReLU, {name}", leave=False, disable=None), clip_norm)
    return found


def demonstration_table() -> Table:
    shown = Table(
        "k",
        *(
            Column(f"{name}\n{side}", justify="right")
            for name in ("sigmoid", "ReLU")
            for side in ("NumPy", "torch")
        ),
        title="Chapter 14: the gradient of ones, k steps back through f(a · [[1, 4], [4, 1]])",
        title_justify="left",
        box=None,
        header_style="bold",
        padding=(0, 2, 0, 0),
    )
    columns = [
        side.demonstration(activation)[1][::-1]
        for activation in ("sigmoid", "relu")
        for side in (gradient_flow, torch_gradient_flow)
    ]
    for k, gradients in enumerate(zip(*columns, strict=True)):
        shown.add_row(str(k), *(" ".join(f"{number:.3g}" for number in gradient) for gradient in gradients))
    return shown


def reach_table(subjects: list[Subject], steps: int) -> Table:
    """The norms for some numbers of steps."""
    chosen = [k for k in sorted({1, 2, 5, 10, 20, steps}) if k <= steps]
    shown = Table(
        "‖dL/dstate‖",
        *(Column(f"{k} back", justify="right") for k in chosen),
        box=None,
        header_style="bold",
        padding=(0, 2, 0, 0),
    )
    for subject in subjects:
        for state, norms in subject.reach.items():
            shown.add_row(f"{subject.name}, {state}", *(f"{norms[k - 1]:.2g}" for k in chosen))
    return shown


def print_clipping(console: Console, clipping: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    console.print(f"\nA ReLU network with a learning rate of {LARGE_LR}", style="bold")
    for name, (norms, losses) in clipping.items():
        finite = np.isfinite(norms)
        end = (
            f"nan from step {np.argmin(finite) + 1}"
            if not finite.all()
            else f"{counted(len(norms), 'step')}, loss {losses[-1]:.2f}"
        )
        console.print(f"{name + ':':16} gradients up to {norms[finite].max():.2g}; {end}")


def draw(path: Path, subjects: list[Subject], clipping: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    figure = Figure(figsize=(16, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_demonstration(left)
    draw_reach(middle, subjects)
    draw_clipping(right, clipping)
    for panel in (left, middle, right):
        panel.set_yscale("log")
        panel.grid(alpha=0.3)
        panel.legend()
    with naming(path):
        save_figure(figure, path)


def draw_demonstration(panel: Axes) -> None:
    for name, gradients, colour in (
        ("ReLU", gradient_flow.demonstration("relu")[1], ORANGE),
        ("sigmoid", gradient_flow.demonstration("sigmoid")[1], BLUE),
    ):
        panel.plot(np.linalg.norm(gradients[::-1], axis=1), marker="o", label=name, color=colour)
    panel.set_title("The book's ten steps through [[1, 4], [4, 1]]")
    panel.set_xlabel("steps back")
    panel.set_ylabel("norm of the gradient")


def draw_reach(panel: Axes, subjects: list[Subject]) -> None:
    for trained in (True, False):
        for subject, colour in zip(subjects, cycle(COLOURS), strict=False):
            for state, norms in (subject.reach if trained else subject.untrained).items():
                panel.plot(
                    range(1, len(norms) + 1),
                    norms,
                    color=colour,
                    linestyle={"h": "-", "c": "--"}[state],
                    linewidth=2.0 if trained else 0.8,
                    label=literal(f"{state} in {subject.name}{'' if trained else ', untrained'}"),
                )
    panel.set_title("Real models: how far back the loss of one prediction reaches")
    panel.set_xlabel("steps back, k")
    panel.set_ylabel("‖dL / d state of k steps ago‖")


def draw_clipping(panel: Axes, clipping: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for (name, (norms, _)), colour in zip(clipping.items(), (ORANGE, BLUE), strict=True):
        finite = norms[np.isfinite(norms)]
        panel.plot(range(1, len(finite) + 1), finite, label=name, color=colour)
        if len(finite) < len(norms):
            panel.plot(len(finite), finite[-1], marker="X", markersize=10, color=colour)
            panel.annotate("   nan from here on", (len(finite), finite[-1]), va="center", color=colour)
        panel.set_xlim(0, len(norms) + 1)
    panel.set_title(f"A ReLU network with a learning rate of {LARGE_LR}")
    panel.set_xlabel("training step")
    panel.set_ylabel("norm of the whole gradient, before clipping")


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "gradient_flow.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
