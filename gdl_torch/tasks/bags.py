"""What models of bags of words do about the words' weights: they keep them, and meet no other ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gdl_torch.tasks.tokens import ReadsTokens


class ReadsBags(ReadsTokens):
    """Base of the models that add up vectors of words, each perhaps times a weight of its word.

    Attributes:
        word_weights: of words in the sum (vocab_size,), where the data module or the checkpoint said so; None
            for ones. They come with the batches: the model keeps them for what reads texts without.
    """

    word_weights: Tensor | None = None

    def setup(self, stage: str) -> None:
        """Takes the data module's vocabulary and weights of words, or makes sure that they are the same.

        Raises:
            ValueError: the model was trained with others.
        """
        super().setup(stage)
        if self._data_module("vocabulary") is not None:
            self._meet_weights(self._data_module("weights"))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if "word_weights" in vars(self):
            checkpoint["word_weights"] = self.word_weights

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises ValueError if it was trained with another vocabulary or other weights than the data's."""
        super().on_load_checkpoint(checkpoint)
        if "word_weights" in checkpoint:
            self._meet_weights(checkpoint["word_weights"])

    def _meet_weights(self, weights: Tensor | None) -> None:
        if "word_weights" in vars(self) and not same_weights(self.word_weights, weights):
            raise ValueError(
                f"{type(self).__name__} was trained with other weights of words than those of the data: "
                "give the ratio (and with it its power, validation and seed) that it was trained with"
            )
        self.word_weights = weights


def same_weights(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether weights of words are the same, but for the last place of a logarithm on another machine."""
    if one is None or other is None or one.shape != other.shape:
        return one is other
    eps = torch.finfo(torch.float32).eps
    return torch.allclose(one, other, rtol=eps, atol=eps)
