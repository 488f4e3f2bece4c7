"""What a federated run tells people: a table of its rounds, and a picture of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from rich.table import Table

from gdl_numpy.messages import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdl_numpy.federated.rounds import Round
    from gdl_numpy.tasks import Metrics

MANY = 6  # participants; of more, losses have no column each


def table_of(rounds: Sequence[Round], names: Sequence[str], delta: float) -> Table:
    """A row for each round."""
    is_many, is_private = len(names) > MANY, rounds[0].epsilon is not None
    heads = ["losses"] if is_many else [f"loss of\n{name}" for name in names]
    table = Table("round")
    for head in (
        *rounds[0].metrics.columns,
        *heads,
        "sent\nby each",
        "seconds",
        *[f"ε at\nδ={delta:g}"][:is_private],
    ):
        table.add_column(head, justify="right")
    for each in rounds:
        row = each.metrics.row()
        cells = [f"{row[name]:{form}}" for name, form in each.metrics.columns.items()]
        if is_many:
            cells.append(f"{min(each.losses.values()):.4f} to {max(each.losses.values()):.4f}")
        else:
            cells += [f"{each.losses[name]:.4f}" if name in each.losses else "missed" for name in names]
        cells += [bytes_of(max(each.sent.values())), f"{each.seconds:.2f}"]
        table.add_row(str(each.number), *cells, *([f"{each.epsilon:.3g}"] if is_private else []))
    return table


def bytes_of(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 1e6:,.2f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def draw(rounds: Sequence[Round], centralised: Metrics, title: str) -> Figure:
    """The accuracy, or whatever is decisive, and the participants' losses, round by round."""
    figure = Figure((10, 4), layout="constrained")
    figure.suptitle(literal(title))
    left, right = figure.subplots(1, 2)
    numbers, name = [each.number for each in rounds], centralised.decisive
    left.plot(numbers, [each.metrics.row()[name] for each in rounds], "o-", label="global model")
    left.axhline(centralised.row()[name], color="grey", linestyle="--", label="trained in one place")
    left.set(xlabel="round", ylabel=f"{name} on what nobody trained on")
    left.legend()
    learners = list(dict.fromkeys(learner for each in rounds for learner in each.losses))
    for learner in learners:
        points = [(each.number, each.losses[learner]) for each in rounds if learner in each.losses]
        right.plot(*zip(*points, strict=True), "o-", label=learner if len(learners) <= MANY else None)
    right.set(xlabel="round", ylabel="loss while learning")
    if len(learners) <= MANY:
        right.legend()
    for axes in (left, right):
        axes.locator_params(axis="x", integer=True)
        axes.grid(alpha=0.3)
    return figure
