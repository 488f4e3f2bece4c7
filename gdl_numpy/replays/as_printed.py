"""The book's way back through the graph, which drops gradients: to be held against the right one.

The book's Tensor counts its uses, and should pass its gradient on once all of them have reported. But only
additions, subtractions and multiplications say who they are. All other operations report anonymously, and
such a report is passed on at once. The inputs of an addition, subtraction or multiplication listen to it only
once: where its result goes into several matrix products, the first of these to report is heard alone. (In
chapter 13's networks no more than one use of such a result reports, and nothing is lost.)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.autograd.parts import add_up

if TYPE_CHECKING:
    from gdl_numpy.autograd.tensor import Tensor

NAMED = {"add", "sub", "mul"}


def sources(x: Tensor) -> tuple[Tensor, ...]:
    """What a tensor was made of and requires a gradient; nothing once `backward` has freed the history."""
    return tuple(source for source, _ in x._history or ())


def made_by(x: Tensor) -> str:
    """The operation that made a tensor, such as "mul"; empty for a leaf."""
    names = [gradient.__qualname__.split(".<locals>")[0] for _, gradient in x._history or ()]
    return names[0].rpartition(".")[2].strip("_") if names else ""


def backward_as_printed(loss: Tensor) -> None:
    """`loss.backward()` as chapter 14 has it: leaves get what it takes for their gradient.

    The book's operations are those of one matrix product, sum, … each; `linear` and slices are not among
    them. Recursive, so no more than some hundred operations deep.
    """
    waiting: dict[Tensor, Counter[Tensor]] = defaultdict(Counter)
    reached, unseen = {loss}, [loss]
    while unseen:
        x = unseen.pop()
        for source in sources(x):
            waiting[source][x] += 1
            if source not in reached:
                reached.add(source)
                unseen.append(source)
    grads: dict[Tensor, np.ndarray] = {}

    def report(x: Tensor, grad: np.ndarray, use: Tensor | None) -> None:
        if use is not None:
            if waiting[x][use] == 0:
                return
            waiting[x][use] -= 1
        grads[x] = grads[x] + grad if x in grads else grad
        if use is None or not any(waiting[x].values()):
            for source, gradient in x._history or ():
                part, _ = add_up(source.data, [gradient(grads[x])])
                report(source, part, x if made_by(x) in NAMED else None)

    report(loss, np.ones_like(loss.data), None)
    for x in reached:
        if not sources(x):
            x.grad = grads[x]
