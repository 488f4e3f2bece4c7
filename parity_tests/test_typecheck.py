"""The run-time checks of this suite: an annotation that is not true turns a test red."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from gdl_numpy.data import epoch_order
from gdl_numpy.lookup import lookup
from gdl_numpy.nn import CrossEntropyLoss, EmbeddingBag, Linear


def test_shapes_are_checked() -> None:
    """Also that a dimension named twice is as large both times."""
    logits = np.zeros((3, 2), np.float32)
    with pytest.raises(TypeCheckError):
        CrossEntropyLoss()(logits, np.zeros(4, np.int64))
    with pytest.raises(TypeCheckError):
        epoch_order("ten", 0, 0)  # type: ignore[arg-type]


def test_types_without_shapes_are_checked() -> None:
    """Of functions, methods, constructors and what they return."""
    wrong: Any = "three"
    for call in (
        lambda: lookup("model", 3, {}),  # type: ignore[arg-type]
        lambda: Linear(2, wrong),
        lambda: Linear(2, 3).train(wrong),
        lambda: EmbeddingBag(2, 3, mode=wrong),
    ):
        with pytest.raises((BeartypeCallHintViolation, TypeCheckError)):
            call()


@pytest.mark.usefixtures("unchecked_types")
def test_checks_can_be_left_out() -> None:
    """As users run the code: then our own refusals must do."""
    wrong: Any = "three"
    with pytest.raises(ValueError, match="mode"):
        EmbeddingBag(2, 3, mode=wrong)
    assert Linear(2, 3).train(wrong).training == wrong
