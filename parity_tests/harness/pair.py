"""A model on both sides with real data: what ``scripts/compare.py`` compares and times."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import torch

from gdl_numpy import nn
from gdl_numpy.data import load
from gdl_numpy.optim import SGD
from parity_tests.harness.cases import ModelCase
from parity_tests.harness.check import check
from parity_tests.harness.evaluate import as_arguments, as_dtype, to_torch, twin
from parity_tests.harness.report import Comparison, ParityReport
from parity_tests.harness.trace import TorchWithLoss, WithLoss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True, eq=False)
class Pair:
    """A model on both sides, with what it is fed: a batch for each training step."""

    title: str
    case: ModelCase
    data: str
    numpy_module: nn.Module
    torch_module: torch.nn.Module
    batches: list[tuple[Any, Any]]

    @classmethod
    def all_of(
        cls, case: ModelCase, data: str | None, data_dir: Path | None, steps: int, batch_size: int, seed: int
    ) -> Iterator[Pair]:
        """A pair for each of the model's configurations in the registry."""
        dataset = load(data or case.data, data_dir)
        batches = list(islice(case.batches(dataset, batch_size, seed), steps))
        for word, hparams in case.compared.items():
            sides = case.build({**case.sizes(dataset), **hparams}, seed)
            yield cls(f"{case.name} {word}".strip(), case, dataset.name, *sides, batches)

    def check(self, dtype: str, device: str, on_step: Callable[[int], None]) -> ParityReport:
        (inputs, targets), *others = self.batches
        try:
            return check(
                self.numpy_module,
                self.torch_module,
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
        model = WithLoss(copy.deepcopy(self.numpy_module).astype(dtype), loss).requires_input_grad_(False)
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
        model = TorchWithLoss(twin(self.torch_module, self.numpy_module, dtype, device), loss)
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
