"""A model on both sides with real data: what `scripts/compare.py` compares and times."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import torch

from gdl_numpy import nn
from gdl_numpy.data import AnyDataset
from gdl_numpy.optim import SGD
from parity_tests.harness.check import check
from parity_tests.harness.evaluate import as_dtype, flatten, unflatten
from parity_tests.harness.evaluate_torch import to_torch, twin
from parity_tests.harness.model_cases import ModelCase
from parity_tests.harness.report import Comparison, ParityReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True, eq=False)
class Pair:
    """A model on both sides, with what it is fed: a batch for each training step.

    Attributes:
        title: the model's name, and what tells it from other pairs of that name.
        data: name of the data set.
        batch_size: examples, streams of text or sentences in a batch.
        carries_state: whether each batch goes on where the one before ended.
    """

    title: str
    case: ModelCase
    data: str
    batch_size: int
    carries_state: bool
    numpy_module: nn.Module
    torch_module: torch.nn.Module
    batches: list[tuple[Any, Any]]

    @classmethod
    def all_of(
        cls,
        case: ModelCase,
        dataset: AnyDataset,
        steps: int,
        batch_size: int | None = None,
        seed: int = 0,
        book: bool = False,
    ) -> Iterator[Pair]:
        """A pair for each of the model's configurations in the registry, or one at the book's sizes.

        Raises:
            ValueError: a data set of another kind than the model takes; too little data for a batch.
        """
        size = batch_size or case.batch_size
        data = case.data_module(dataset, size, seed)
        carries_state = case.carries_state and data.continues
        batches = list(islice(data.train.endless(), steps))
        rows: Mapping[str, Mapping[str, Any]] = {"book": {}} if book else case.compared
        for word, hparams in rows.items():
            title = f"{case.name} {word}".strip()
            sides = case.build({**case.sizes(data), **hparams}, seed)
            yield cls(title, case, dataset.name, size, carries_state, *sides, batches)

    @property
    def unit(self) -> str:
        """What the loss counts."""
        loss = self.case.model.task.default_loss
        return "nats per target" if issubclass(loss, nn.CrossEntropyLoss) else loss.__name__

    def check(self, dtype: str, device: str, on_step: Callable[[int], None]) -> ParityReport:
        """The report of both sides trained on the batches."""
        (inputs, targets), *others = self.batches
        try:
            return check(
                self.case.task(self.numpy_module, self.carries_state),
                self.torch_task(),
                inputs,
                targets,
                optimizer_args={"lr": self.case.lr},
                steps=len(self.batches),
                batches=others,
                dtype=dtype,
                device=device,
                name=self.title,
                on_step=on_step,
            )
        except ValueError as error:  # a difference so large that there is nothing to hold against each other
            reason = " ".join(str(error).split())
            fault = Comparison("", "and torch cannot be compared", "numpy", fault=reason)
            return ParityReport(self.title, dtype, device, [fault])

    def torch_task(self) -> Any:
        """A copy of the torch side's model, ready for the batches."""
        task: Any = copy.deepcopy(self.torch_module)
        if self.carries_state:
            task.begin(continues=True)
        return task

    def numpy_step(self, dtype: str) -> Callable[[], None]:
        """One training step, on one batch after the other."""
        model = copy.deepcopy(self.numpy_module).astype(dtype)
        task = self.case.task(model, self.carries_state).requires_input_grad_(False)
        optimizer = SGD(model.parameters(), self.case.lr)
        batches = cycle([as_dtype(batch, dtype) for batch in self.batches])

        def step() -> None:
            task.step(optimizer, next(batches))

        return step

    def torch_step(self, dtype: str, device: str) -> Callable[[], None]:
        """The same with torch. The batches are on the device already."""
        task: Any = twin(self.torch_task(), self.numpy_module, dtype, device)
        optimizer = torch.optim.SGD(task.parameters(), self.case.lr)
        rounded = [as_dtype(batch, dtype) for batch in self.batches]
        batches = cycle(
            [unflatten(batch, iter([to_torch(leaf, device) for leaf in flatten(batch)])) for batch in rounded]
        )

        def step() -> None:
            optimizer.zero_grad()
            task.compare(*next(batches)).loss.backward()
            optimizer.step()
            if device == "cuda":
                torch.cuda.synchronize()

        return step
