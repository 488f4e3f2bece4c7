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

from gdl_numpy.autograd.gradient_sum import GradientSum

if TYPE_CHECKING:
    from gdl_numpy.autograd.tensor import Tensor

NAMED = {"add", "sub", "mul"}


def backward_as_printed(loss: Tensor) -> None:
    """`loss.backward()` as chapter 14 has it: leaves get what it takes for their gradient.

    The book's operations are those of one matrix product, sum, … each; `linear` and slices are not among
    them. Recursive, so no more than some hundred operations deep.
    """
    waiting: dict[Tensor, Counter[Tensor]] = defaultdict(Counter)
    reached, unseen = {loss}, [loss]
    while unseen:
        x = unseen.pop()
        for source in x.sources:
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
                part = GradientSum(source.data, gradient(grads[x])).value
                report(source, part, x if x.made_by in NAMED else None)

    report(loss, np.ones_like(loss.data), None)
    for x in reached:
        if not x.sources:
            x.grad = grads[x]
