"""What messages say of counts and names."""

from __future__ import annotations

import pytest

from gdl_numpy.messages import counted, kind_of, with_article


@pytest.mark.parametrize(
    ("number", "unit", "expected"),
    [
        (0, "epoch", "0 epochs"),
        (1, "epoch", "1 epoch"),
        (1, "batch", "1 batch"),
        (2, "batch", "2 batches"),
        (3, "class", "3 classes"),
        (2000, "token", "2,000 tokens"),
    ],
)
def test_counts_agree_with_their_nouns(number: int, unit: str, expected: str) -> None:
    assert counted(number, unit) == expected


def test_articles_go_by_how_a_name_is_spoken() -> None:
    an = ["MLP", "RNNLanguageModel", "LSTM", "NTXentLoss", "SGD", "AdamW", "Embedding", "int", "ndarray"]
    a = ["CNN", "TransitionMatrixLM", "BCELoss", "SentimentClassifier", "GRU", "list", "str"]
    assert [with_article(name) for name in an] == [f"an {name}" for name in an]
    assert [with_article(name) for name in a] == [f"a {name}" for name in a]
    assert kind_of(1) == "an int"
