"""A short training: data, weights, what dropout keeps, and what a model did with them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.nn import Dropout, Module
from gdl_numpy.tasks import Task
from parity_tests.harness.evaluate import Arrays, GradOutputs
from parity_tests.harness.side import OptimizerSpec
from parity_tests.harness.steps import Labels, Step
from parity_tests.harness.watch import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import DTypeLike


@dataclass
class Run:
    """A short training, from its beginning.

    Attributes:
        name: of the model.
        dtype: in which it ran; the dtype of what is held against it.
        seed: what the output gradients were drawn from.
        spec: the optimizer.
        labels: what modules are called.
        updates: whether the optimizer made a step after each batch.
        training: whether the model was in training mode.
        frozen: parameters that are not trained.
        batches: inputs and targets of each step, each a tuple of arguments, in float64.
        probes: the gradients of the outputs in each step.
        start: the parameters before the first.
        kept: for each step, what each dropout layer kept in each of its calls.
        steps: what it did; after the first step, of the calls only the model's own.
        bounds: how far off each number may be, where `steps` are the truth; else none.
    """

    name: str
    dtype: str
    seed: int
    spec: OptimizerSpec
    labels: Labels
    updates: bool
    training: bool
    frozen: list[str]
    batches: list[tuple[Any, Any]]
    start: dict[str, np.ndarray]
    probes: list[Arrays] = field(default_factory=list)
    kept: list[dict[str, list[np.ndarray]]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    bounds: list[Step] = field(default_factory=list)

    @classmethod
    def beginning(
        cls,
        name: str,
        model: Module,
        batches: list[Any],
        updates: bool,
        spec: OptimizerSpec,
        dtype: str,
        seed: int,
    ) -> Run:
        """The run of a model, or of a task, that has not done anything yet."""
        return cls(
            name=name,
            dtype=dtype,
            seed=seed,
            spec=spec,
            labels=Labels(names_of(model), isinstance(model, Task)),
            updates=updates,
            training=model.training,
            frozen=[],
            batches=batches,
            start={name: array.astype(dtype) for name, array in model.state_dict().items()},
        )

    def grad_outputs(self, number: int, rng: np.random.Generator) -> GradOutputs:
        """The gradients of the outputs in a step; drawn, where they are not known yet: 1 for a loss."""

        def known(outputs: Arrays) -> Arrays:
            if number == len(self.probes):
                drawn = [
                    np.ones(np.shape(y)) if self.labels.has_loss else rng.standard_normal(np.shape(y))
                    for y in outputs
                ]
                self.probes.append([np.asarray(grad).astype(self.dtype).astype(np.float64) for grad in drawn])
            return self.probes[number]

        return known

    def to_be_written(self, number: int, step: Step) -> Step:
        """Of a step after the first, of the calls only the model's own."""
        root = self.labels.root
        return (
            step
            if number == 0
            else replace(step, trace={root: step.trace[root]} if root in step.trace else {})
        )


class Replay:
    """In the place of a dropout layer's generator: says what the layer keeps, one call after the other."""

    def __init__(self, kept: Sequence[np.ndarray]) -> None:
        self.kept, self.next = kept, 0

    def random(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """Numbers at least p, which is at most 1, where it keeps, and below 0 where not."""
        kept = self.kept[self.next] if self.next < len(self.kept) else np.ones(shape)
        self.next += 1
        return np.where(kept, 1, -1).astype(dtype)


def replay_(model: Module, kept: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Makes the dropout layers of a model keep what they are told to.

    Raises:
        ValueError: a layer would drop something, and is not told what.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, Dropout):
            if name not in kept and layer.training and layer.p:
                raise ValueError(f"the module draws at random in {name!r}, where the run has nothing dropped")
            layer.rng = Replay(kept.get(name, []))  # type: ignore[assignment]
