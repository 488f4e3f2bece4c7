"""What is an encoder that learned without labels good for, once there are some?

    python scripts/downstream.py runs/contrastiveencoder-mnist-numpy/model.safetensors
    python scripts/downstream.py model.safetensors --backend torch --device cuda
    python scripts/downstream.py model.safetensors --labels 10%,100 --draws 10 --tsne

Any model with a trunk will do, whichever backend trained it: a ContrastiveEncoder, or a model of a pretext
task on images. A table compares it with the same model untrained: a linear probe, logistic regression on the
frozen features; the trunk trained on, under a new head, with some of the labels; and nearest neighbours by
cosine. Beside the checkpoint, or in --out: embedding.png, a map of test images; nearest.png, the training
images that are most like some of them; and answers.png, what a model of a pretext task makes of test images,
or views.png, such views of training images as an encoder learned from.

The data set, the seed of the first weights and the views are the run's, where train.py left its run.json.
The numpy backend needs no torch. Exit code 130 after Ctrl-C; 2, and one line that says why, for bad usage and
files that cannot be used.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Column, Table

from gdl_numpy import downstream
from gdl_numpy.checkpoint import load_model
from gdl_numpy.command_line import Backend, Device, check_cpu, make_console, run, say
from gdl_numpy.data import DATASETS, Dataset, load
from gdl_numpy.files import check_folder, check_json, naming, save_figure, write_json
from gdl_numpy.lookup import lookup
from gdl_numpy.models import ContrastiveEncoder
from gdl_numpy.progress import Bar
from gdl_numpy.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from matplotlib.figure import Figure

    from gdl_numpy.models.trunk import HasTrunk

IMAGE_SETS = {name: source for name, source in DATASETS.items() if source.kind is Dataset}
KS = (1, 5)  # neighbours that vote
MAPPED = 3000  # test images on the map
SHOWN = 6  # neighbours beside an image
app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Encoded:
    """A model of the backend that computes, and what it makes of each image of a data set, by name."""

    model: Any
    train: dict[str, np.ndarray] = field(default_factory=dict)
    test: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What a model's features are used for.

    Attributes:
        rows: of the table, one for each number that `run` gives.
        labels: how many of the training images' labels are used, as the table says it.
        run: gives test accuracies.
    """

    rows: Sequence[str]
    labels: str
    run: Callable[[Encoded], Sequence[float]]


@dataclass(frozen=True)
class Trial:
    """A data set, and how to try models on it.

    Attributes:
        dataset: the images.
        side: `gdl_numpy.downstream`, or its counterpart in `gdl_torch`.
        draws: sets of labels that a result is the mean of.
        steps: of fine-tuning.
        seed: of the draws.
        progress: whether to show bars.
    """

    dataset: Dataset
    side: Any
    draws: int
    steps: int
    seed: int
    progress: bool

    def encode(self, model: Any, with_z: bool) -> Encoded:
        """Puts all images through a model."""
        encoded = Encoded(model)
        for points, split in ((encoded.train, self.dataset.train), (encoded.test, self.dataset.test)):
            points["features"] = self.side.features_of(model, split.inputs, progress=self.progress)
            if with_z:
                points["z"] = self.side.embeddings_of(model, points["features"])
        return encoded

    def tasks(self, labels: Mapping[str, float | int], names: Sequence[str]) -> Iterator[Task]:
        """All that models are tried by.

        Args:
            labels: how many are known, as `labelled_subset` takes it, by what the table says.
            names: of the points that neighbours are found by.
        """
        targets = self.dataset.train.targets
        drawn = {
            text: [
                downstream.labelled_subset(targets, known, np.random.default_rng((self.seed, draw)))
                for draw in range(self.draws)
            ]
            for text, known in labels.items()
        }
        for text, subsets in {"all": [np.arange(len(targets))], **drawn}.items():
            yield Task(["linear probe"], text, partial(self.probe, subsets))
        for text, subsets in drawn.items() if self.steps else ():
            yield Task(["fine-tuned"], text, partial(self.tune, subsets))
        for name in names:
            yield Task([f"{k} nearest by {name}" for k in KS], "all", partial(self.neighbours, name))

    def probe(self, subsets: list[np.ndarray], encoded: Encoded) -> list[float]:
        """The mean accuracy of linear probes, each of which knows the labels of some training images."""
        features, labels = encoded.train["features"], self.dataset.train.targets
        test = encoded.test["features"], self.dataset.test.targets
        return mean(downstream.probe_accuracy(features[rows], labels[rows], *test) for rows in subsets)

    def tune(self, subsets: list[np.ndarray], encoded: Encoded) -> list[float]:
        """The mean accuracy of the trunk fine-tuned, each time with the labels of some training images."""
        arguments: dict[str, Any] = {"steps": self.steps, "seed": self.seed, "progress": self.progress}
        train, test = self.dataset.train, self.dataset.test
        return mean(
            self.side.fine_tune(encoded.model, train.select(rows), test, **arguments) for rows in subsets
        )

    def neighbours(self, name: str, encoded: Encoded) -> list[float]:
        """The accuracies of the votes of 1 and of more nearest neighbours."""
        train, test = self.dataset.train.targets, self.dataset.test.targets
        points = encoded.train[name], train, encoded.test[name], test
        return downstream.knn_accuracy(*points, KS, progress=self.progress)


@app.command()
def use(
    checkpoint: Annotated[Path, typer.Argument(help="model.safetensors of a model with a trunk.")],
    data: Annotated[
        str | None, typer.Option(help="Data set: digits or mnist.", show_default="the run's, else digits")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Its folder; else $GDL_DATA, else the user's cache.")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="Which side computes.")] = Backend.numpy,
    device: Annotated[Device, typer.Option(help="For the torch backend.")] = Device.auto,
    labels: Annotated[
        str, typer.Option(help="How many labels are known: parts of them, or numbers.", metavar="P%|N,…")
    ] = "10%,1%,100",
    draws: Annotated[int, typer.Option(help="Sets of labels to draw; the mean counts.", min=1)] = 3,
    steps: Annotated[int, typer.Option(help="Least steps of fine-tuning; 0 leaves it out.", min=0)] = 400,
    seed: Annotated[
        int | None,
        typer.Option(help="Of the first weights, and of the draws.", min=0, show_default="the run's, else 0"),
    ] = None,
    tsne: Annotated[bool, typer.Option("--tsne", help="Draw the map by t-SNE instead of PCA.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pictures; else the checkpoint's.", file_okay=False)
    ] = None,
    summary: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the table as JSON.", dir_okay=False)
    ] = None,
) -> None:
    """Try what an encoder learned without labels: linear probe, fine-tuning, neighbours, pictures."""
    pictures = out or checkpoint.parent
    known = downstream.known_labels(labels)
    model = downstream.check_trunk(load_model(checkpoint))
    training = downstream.training_of(checkpoint, model)
    data, seed = (training.data if data is None else data), (training.seed if seed is None else seed)
    dataset: Dataset = load(lookup("data set of images", data, IMAGE_SETS).name, data_dir)
    downstream.check_encoder(model, dataset)
    side, on_side = side_of(backend, device)
    trial = Trial(dataset, side, draws, steps, seed, progress=sys.stderr.isatty())
    names = ["features", "z"] if isinstance(model, ContrastiveEncoder) else ["features"]
    tasks = list(trial.tasks(known, names))  # too few labels and too many are refused here
    models = {"trained": model, "untrained": downstream.untrained(model, seed)}
    check_json(summary)
    check_folder("--out", pictures)
    encoded = {name: trial.encode(on_side(model), "z" in names) for name, model in models.items()}
    results = list(try_all(tasks, encoded, trial.progress))
    title = f"{type(model).__name__} on {dataset.name}, {backend}: test accuracy"
    console = make_console()
    print_table(console, table_of(results, title))
    if summary is not None:
        write_json(summary, results)
    answer, view = partial(side.answers_of, encoded["trained"].model), side.random_view(**training.views)
    kind, rows = downstream.task_rows(model, dataset, answer, view, np.random.default_rng(seed))
    figures = {**draw(encoded, dataset, tsne, seed), f"{kind}.png": downstream.draw_rows(rows)}
    paths = save(figures, pictures)
    say(console, f"drawn in {', '.join(map(str, paths))}", *paths)


def side_of(backend: Backend, device: Device) -> tuple[Any, Callable[[HasTrunk], Any]]:
    """The module that computes with models, and what makes a model of that side of one of NumPy's.

    Raises:
        ValueError: a device that is not there.
    """
    if backend is Backend.numpy:
        check_cpu(device)
        return downstream, lambda model: model
    from gdl_torch import downstream as torch_downstream
    from gdl_torch.device import accelerator, quiet_lightning
    from gdl_torch.export import from_numpy

    place = accelerator(device)
    quiet_lightning()
    return torch_downstream, lambda model: from_numpy(model).eval().to(place)


def mean(accuracies: Iterable[float]) -> list[float]:
    return [float(np.mean(list(accuracies)))]


def try_all(
    tasks: Sequence[Task], encoded: dict[str, Encoded], progress: bool
) -> Iterator[dict[str, str | float]]:
    """Gives the rows of the table: what was done, how many labels it knew, and each model's test accuracy."""
    with Bar(tasks, leave=False, unit="task", disable=not progress) as bar:
        for task in bar:
            bar.set_description(task.rows[0])
            results = {name: task.run(one) for name, one in encoded.items()}
            for i, row in enumerate(task.rows):
                accuracies = {name: accuracy[i] for name, accuracy in results.items()}
                yield {"use": row, "labels": task.labels, **accuracies}


def table_of(results: Sequence[dict[str, Any]], title: str) -> Table:
    """The results as a table, uses apart from each other."""
    columns = [Column(name, justify="right") for name in ("labels", "trained", "untrained")]
    table = Table("", *columns, title=title)
    before = results[0]["use"]
    for row in results:
        if row["use"][2:] != before[2:]:  # but for the number of neighbours
            table.add_section()
        before = row["use"]
        table.add_row(row["use"], row["labels"], f"{row['trained']:.2%}", f"{row['untrained']:.2%}")
    return table


def draw(encoded: dict[str, Encoded], dataset: Dataset, tsne: bool, seed: int) -> dict[str, Figure]:
    """Draws the map and the nearest images; by the names of their files."""
    test = dataset.test
    rows = np.random.default_rng(seed).permutation(len(test))[:MAPPED]
    planes = {
        f"{name}, {model}": downstream.on_a_plane(points[rows], tsne, seed)
        for model, one in encoded.items()
        for name, points in one.test.items()
    }
    first = np.unique(test.targets, return_index=True)[1]  # an image of each class
    nearest = {
        f"by features, {model}": downstream.nearest_neighbours(
            one.test["features"][first], one.train["features"], SHOWN
        )
        for model, one in encoded.items()
    }
    return {
        "embedding.png": downstream.draw_map(planes, test.targets[rows]),
        "nearest.png": downstream.draw_nearest(test.select(first), dataset.train, nearest),
    }


def save(figures: dict[str, Figure], out: Path) -> list[Path]:
    """Writes pictures into a folder; returns where."""
    paths = [out / name for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        with naming(path):
            save_figure(figure, path)
    return paths


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "downstream.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
