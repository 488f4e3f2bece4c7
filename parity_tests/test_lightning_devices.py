"""Several devices share the batches of one, and several processes learn what one would."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from lightning_fabric.utilities.distributed import DistributedSamplerWrapper
from torch.utils.data import SubsetRandomSampler

from gdl_numpy import models as numpy_models
from gdl_numpy.data import BagsDataModule, BlanksDataModule, epoch_order, load
from gdl_numpy.optim import SGD
from gdl_torch.data import DigitsDataModule, EpochSampler, PythonDocsDataModule, TensorBatches
from gdl_torch.export import from_numpy
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import (
    Disturb,
    ImageRecipe,
    State,
    assert_within,
    moved_by_rounding,
    nothing,
    rows_of,
    same_end,
    truncated,
    two_processes,
    weights,
)
from parity_tests.support.forks import needs_forks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_lightnings_own_distributed_sampler_would_change_the_order() -> None:
    """Surprise: with several devices, Lightning wraps a sampler it does not know in one that shuffles again.

    Its arguments are those that the Trainer gives it for training. So what the devices take in a step would
    not be one batch of the one order. This is why EpochSampler is itself a DistributedSampler: those are left
    alone.
    """
    dataset = TensorBatches(load("digits").train.take(10))
    unknown = SubsetRandomSampler(range(10), generator=torch.Generator().manual_seed(0))
    order = list(SubsetRandomSampler(range(10), generator=torch.Generator().manual_seed(0)))
    wrapped = DistributedSamplerWrapper(unknown, num_replicas=2, rank=0, shuffle=True)
    assert list(wrapped) != order[::2]

    sampler = EpochSampler(dataset, seed=0, num_replicas=2, rank=0)
    sampler.set_epoch(5)
    assert list(sampler) == epoch_order(10, 0, 5)[::2].tolist()


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_devices_share_each_batch(devices: int) -> None:
    """Step by step, the shares of all devices together are the batch of one device; all examples are seen.

    Where they cannot be divided evenly, the first ones of the epoch are repeated: no device may run out of
    batches.
    """
    n, batch_size = 20, 4
    dataset = TensorBatches(load("digits").train.take(n))
    shares = [list(EpochSampler(dataset, 7, devices, rank)) for rank in range(devices)]
    assert {len(share) for share in shares} == {-(-n // devices)}
    order = epoch_order(n, 7, 0).tolist()
    for step in range(n // (devices * batch_size)):
        together = [share[step * batch_size : (step + 1) * batch_size] for share in shares]
        one_device = order[step * devices * batch_size : (step + 1) * devices * batch_size]
        assert sorted(np.concatenate(together).tolist()) == sorted(one_device)
    assert set(np.concatenate(shares).tolist()) == set(range(n))


@needs_forks
def test_two_processes_are_one_with_a_batch_twice_as_large(tmp_path: Path) -> None:
    """`--trainer.devices 2 --trainer.strategy ddp`, by flags alone.

    The two see different examples, together those of one batch of 120; averaged, their gradients are that
    batch's. So both end with the weights of the NumPy loop with batches of 120, within rounding.
    """
    ranks = two_processes(
        tmp_path, "ddp", "--model", "MLP", "--model.hidden_features", "[20]", "--model.dropout", "0",
        "--model.lr", "0.3", "--data", "DigitsDataModule", "--data.batch_size", "60",
        "--data.validation", "0", "--data.seed", "5",
    )  # fmt: skip
    data = DigitsDataModule(batch_size=120, validation=0.0, seed=5)
    data.setup("fit")
    order = epoch_order(len(data.train), seed=5, epoch=0)
    for step in range(5):
        together = order[120 * step : 120 * (step + 1)]
        for rank, seen in enumerate(ranks):
            np.testing.assert_array_equal(seen[f"batch.{step}"], data.train.inputs[together[rank::2]])

    recipe = ImageRecipe(start=weights(ranks[0], "start"), epochs=1)
    expected, bounds = recipe.run_numpy(data).states[4:5], recipe.allowed(data)[4:5]
    assert_within([same_end(ranks)], expected, bounds)


@needs_forks
def test_two_processes_read_streams_of_their_own(tmp_path: Path) -> None:
    """Each has 3 of 6 streams, its own state for them, and half of the gradient of one process with all 6.

    Truncated backpropagation through time goes on over 5 chunks, with clipping; the weights that both end
    with are those of a loop of plain torch over all 6 streams, but for the order of sums. The second process
    is a fork of the first, which saves the seconds that it takes to import everything again.
    """
    ranks = two_processes(
        tmp_path, "ddp_fork", "--model", "LSTMLanguageModel", "--model.embedding_dim", "5",
        "--model.hidden_size", "7",
        "--model.lr", "0.3", "--data", "PythonDocsDataModule", "--data.batch_size", "3", "--data.chunk", "10",
        "--trainer.gradient_clip_val", "0.2",
    )  # fmt: skip
    data = PythonDocsDataModule(batch_size=6, chunk=10)
    batches = list(itertools.islice(data.train_dataloader(), 5))
    for step, (ids, _) in enumerate(batches):
        for rank, seen in enumerate(ranks):
            np.testing.assert_array_equal(seen[f"batch.{step}"], ids[:, 3 * rank : 3 * rank + 3])

    def run(disturb: Disturb) -> list[State]:
        numpy_model = numpy_models.LSTMLanguageModel(data.vocab_size, 5, 7, dtype=np.float64)
        numpy_model.load_state_dict(weights(ranks[0], "start"))
        disturb(numpy_model)
        model = from_numpy(numpy_model, lr=0.3)
        return truncated(model, batches, epochs=1, accumulate=1, max_norm=0.2)[-1:]

    relative = float(gamma(5 * 6 * 10 * 28, unit_roundoff(np.float64)))
    assert_within([same_end(ranks)], run(nothing), moved_by_rounding(run, relative))


WORDS, DIM = 150, 4
# A model of words, with the flags that its batches are made by; and NumPy's, of a whole batch.
SHARED_WORDS: dict[str, tuple[tuple[str, ...], dict[str, Any], Callable[[], Any]]] = {
    "bags": (
        ("SentimentClassifier", "--data", "PythonDocsTopicsDataModule"),
        {},
        lambda: BagsDataModule(load("python_docs_topics"), 12, seed=5, max_words=WORDS),
    ),
    "weighted pairs": (
        ("SentimentClassifier", "--data", "PythonDocsTopicsDataModule", "--data.ngrams", "2",
         "--data.ratio", "true", "--model.activation", "tanh"),
        {"activation": "tanh"},
        lambda: BagsDataModule(
            load("python_docs_topics"), 12, seed=5, max_words=WORDS, ngrams=2, ratio=True
        ),
    ),
    "blanks": (
        ("FillInTheBlank", "--data", "PythonDocsBlanksDataModule", "--data.power", "0.75"),
        {},
        lambda: BlanksDataModule(load("python_docs"), 12, seed=5, max_words=WORDS, power=0.75),
    ),
}  # fmt: skip


@needs_forks
@pytest.mark.parametrize("name", SHARED_WORDS)
def test_two_processes_with_sparse_gradients_are_one(name: str, tmp_path: Path) -> None:
    """Each looks up rows of its own; the sum of their gradients has the rows of both, and some twice.

    The two have half of a batch of 12 each, and both end with the weights of the NumPy loop over whole ones.
    """
    flags, arguments, make = SHARED_WORDS[name]
    ranks = two_processes(
        tmp_path, "ddp_fork", "--model", *flags, "--model.embedding_dim", str(DIM), "--model.lr", "0.3",
        "--data.batch_size", "6", "--data.seed", "5", "--data.max_words", str(WORDS),
    )  # fmt: skip
    batches = list(itertools.islice(make().train, 5))
    looked_up: list[set[int]] = [set(), set()]
    for step, (inputs, targets) in enumerate(batches):
        whole = [row[:-1] for row in rows_of((inputs, targets))]
        for rank, seen in enumerate(ranks):
            share = tuple(seen[f"batch.{step}.{place}"] for place in range(len(inputs)))
            assert [row[:-1] for row in rows_of((share, targets[rank::2]))] == whole[rank::2]
            looked_up[rank] |= {*share[0].tolist()}
    assert all([looked_up[0] - looked_up[1], looked_up[1] - looked_up[0], looked_up[0] & looked_up[1]])

    def run(disturb: Disturb) -> list[State]:
        model_class: Any = numpy_models.MODELS[flags[0]]
        model = model_class(WORDS, DIM, **arguments, dtype=np.float64)
        model.load_state_dict(weights(ranks[0], "start"))
        task, optimizer = model.task(model), SGD(model.parameters(), lr=0.3)
        for (ids, offsets, *others), targets in batches:
            others = [each if each.dtype == np.int64 else each.astype(np.float64) for each in others]
            disturb(model)
            task.step(optimizer, ((ids, offsets, *others), targets))
        return [model.state_dict()]

    # The longest sum of a step: the gradient of a word, if there were no other, of terms that sum over DIM.
    words = max(len(inputs[0]) for inputs, _ in batches)
    relative = float(gamma(DIM * words, unit_roundoff(np.float64)))
    assert_within([same_end(ranks)], run(nothing), moved_by_rounding(run, relative))
