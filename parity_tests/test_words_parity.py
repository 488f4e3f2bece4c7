"""The models of words on real text: 200 steps (40 in the short form), on both sides, rows by rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy.data import BagsDataModule, BlanksDataModule, load
from gdl_numpy.nn import SparseRows
from gdl_numpy.optim import SGD
from parity_tests.harness import ParityReport, check
from parity_tests.harness.model_cases import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

TOPICS, TEXT = load("python_docs_topics"), load("python_docs")
# A model, its arguments and what makes its batches; words are there several times, in a bag and in a batch.
CASES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "book": ("SentimentClassifier", {}, BagsDataModule(TOPICS, 4, 0.0, max_words=150, distinct=False)),
    "pairs": (
        "SentimentClassifier",
        {"activation": "tanh", "zero_embedding": True},
        BagsDataModule(TOPICS, 4, 0.0, max_words=200, ngrams=2, ratio=True),
    ),
    "mean": (
        "SentimentClassifier",
        {"mode": "mean", "activation": "relu"},
        BagsDataModule(TOPICS, 4, 0.0, max_words=150),
    ),
    "blanks": ("FillInTheBlank", {}, BlanksDataModule(TEXT, 16, max_words=150)),
    "word2vec": (
        "FillInTheBlank",
        {"zero_output": False},
        BlanksDataModule(TEXT, 16, max_words=150, window=5, subsample=1e-2, power=0.75),
    ),
}


def batches(data: Any, steps: int) -> list[Any]:
    """So many from several epochs."""
    found: list[Any] = []
    epoch = 0
    while len(found) < steps:
        data.train.set_epoch(epoch)
        found += list(data.train)[: steps - len(found)]
        epoch += 1
    return found


@pytest.mark.parametrize(
    ("name", "sparse", "steps"),
    [
        ("pairs", True, 40),
        ("blanks", True, 40),
        *(
            pytest.param(name, sparse, 200, marks=pytest.mark.long)
            for name in CASES
            for sparse in (True, False)
        ),
    ],
)
def test_steps_on_real_text(
    name: str, sparse: bool, steps: int, dtype: str, device: str, agree: Callable[[ParityReport], None]
) -> None:
    """Every loss and every gradient on the way, and what the parameters are in the end."""
    model, arguments, data = CASES[name]
    case = MODELS[model]
    vocab_size = len(data.vocabulary)
    own, twin = case.build({"vocab_size": vocab_size, "embedding_dim": 5, "sparse": sparse, **arguments})
    (inputs, targets), *others = batches(data, steps)
    ids = inputs[0]
    assert len(np.unique(ids)) < len(ids)
    settings: dict[str, Any] = {"optimizer": "SGD", "optimizer_args": {"lr": 0.5}, "steps": steps}
    agree(
        check(
            case.task(own),
            twin,
            inputs,
            targets,
            batches=others,
            dtype=dtype,
            device=device,
            name=name,
            **settings,
        )
    )


@pytest.mark.parametrize("name", CASES)
def test_rows_that_were_not_read_stay_as_they_are(name: str) -> None:
    """To the last bit, and in the gradient they are not even there."""
    model, arguments, data = CASES[name]
    own: Any = MODELS[model].model(len(data.vocabulary), 5, **arguments, rng=0)
    task = own.task(own)
    inputs, targets = data.train[0]
    before = own.embedding.weight.data.copy()
    task(inputs, targets)
    task.backward()
    grad = own.embedding.weight.grad
    assert isinstance(grad, SparseRows)
    np.testing.assert_array_equal(grad.indices, np.unique(inputs[0]))
    SGD(own.parameters(), lr=0.5).step()
    still = np.setdiff1d(np.arange(len(before)), inputs[0])
    assert len(still)
    np.testing.assert_array_equal(own.embedding.weight.data[still], before[still])
