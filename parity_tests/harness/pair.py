"""A model on both sides with real data: what ``scripts/compare.py`` compares and times."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import torch

from gdl_numpy import nn
from gdl_numpy.data import AnyDataset
from gdl_numpy.models import LanguageModel
from gdl_numpy.optim import SGD
from parity_tests.harness.check import check
from parity_tests.harness.evaluate import as_arguments, as_dtype, to_torch, twin
from parity_tests.harness.model_cases import ModelCase
from parity_tests.harness.report import Comparison, ParityReport
from parity_tests.harness.trace import TorchWithLoss, WithLoss

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
        batches: list[tuple[Any, Any]] = list(islice(data.train.endless(), steps))
        if not case.takes_targets:
            batches = [(inputs, None) for inputs, _ in batches]
        rows: Mapping[str, Mapping[str, Any]] = {"book": {}} if book else case.compared
        for word, hparams in rows.items():
            title = f"{case.name} {word}".strip()
            sides = case.build({**case.sizes(data), **hparams}, seed)
            yield cls(title, case, dataset.name, size, carries_state, *sides, batches)

    @property
    def unit(self) -> str:
        """What the loss counts."""
        if self.case.loss != "CrossEntropyLoss":
            return self.case.loss
        return f"nats per {'symbol' if issubclass(self.case.model, LanguageModel) else 'example'}"

    def check(self, dtype: str, device: str, on_step: Callable[[int], None]) -> ParityReport:
        (inputs, targets), *others = self.batches
        try:
            return check(
                *self.case.as_trained(self.numpy_module, self.torch_module, self.carries_state),
                inputs,
                targets,
                self.case.losses(),
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

    def numpy_step(self, dtype: str) -> Callable[[], None]:
        """One training step, on one batch after the other."""
        loss, _ = self.case.losses()
        own = copy.deepcopy(self.numpy_module).astype(dtype)
        if isinstance(own, LanguageModel):
            own.project_once = True
        own, _ = self.case.as_trained(own, self.torch_module, self.carries_state)
        model = WithLoss(own, loss).requires_input_grad_(False)
        optimizer = SGD(model.parameters(), self.case.lr)
        batches = cycle([as_dtype((as_arguments(x), as_arguments(y)), dtype) for x, y in self.batches])

        def step() -> None:
            inputs, targets = next(batches)
            optimizer.zero_grad()
            model(inputs, *targets)
            model.backward(1.0)
            optimizer.step()

        return step

    def torch_step(self, dtype: str, device: str) -> Callable[[], None]:
        """The same with torch. The batches are on the device already."""
        _, loss = self.case.losses()
        other = twin(self.torch_module, self.numpy_module, dtype, device)
        _, other = self.case.as_trained(self.numpy_module, other, self.carries_state)
        model = TorchWithLoss(other, loss)
        optimizer = torch.optim.SGD(model.parameters(), self.case.lr)
        batches = cycle(
            [
                tuple([to_torch(a, device) for a in as_dtype(as_arguments(part), dtype)] for part in batch)
                for batch in self.batches
            ]
        )

        def step() -> None:
            inputs, targets = next(batches)
            optimizer.zero_grad()
            model(inputs, *targets).backward()
            optimizer.step()
            if device == "cuda":
                torch.cuda.synchronize()

        return step
