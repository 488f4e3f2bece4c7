"""What every model of ids does about their meaning: it keeps the vocabulary, and meets no other one."""

from __future__ import annotations

from typing import Any

from gdl_numpy.data.vocabulary import Vocabulary
from gdl_numpy.messages import counted
from gdl_torch.tasks.task import Task


class ReadsTokens(Task):
    """Base of the models whose inputs are ids of tokens, characters or words.

    Attributes:
        vocab_size: number of tokens; subclasses say it.
        vocabulary: what the ids mean, where the data module or the checkpoint said so.
    """

    vocab_size: int
    vocabulary: Vocabulary | None = None

    def setup(self, stage: str) -> None:
        """Takes the data module's vocabulary, or makes sure that it is the same.

        Raises:
            ValueError: the model was trained with another vocabulary.
        """
        self._meet(self._data_module("vocabulary"))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.vocabulary is not None:
            checkpoint["vocabulary"] = self.vocabulary.to_json()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises ValueError if it was trained with another vocabulary than the data module's."""
        if "vocabulary" in checkpoint:
            self._meet(Vocabulary.from_json(checkpoint["vocabulary"]))

    def _data_module(self, attribute: str) -> Any:
        """What the Trainer's data module says; None if it does not, or there is none."""
        trainer = self._trainer  # `trainer` would raise, where there is none
        return getattr(getattr(trainer, "datamodule", None), attribute, None)

    def _meet(self, vocabulary: Vocabulary | None) -> None:
        if vocabulary is None:
            return
        if self.vocabulary not in (None, vocabulary):
            raise ValueError(
                f"{type(self).__name__} was trained with another vocabulary than that of the data: "
                "give the data it was trained on, or train a new model"
            )
        if len(vocabulary) > self.vocab_size:
            raise ValueError(
                f"{type(self).__name__} was built for {counted(self.vocab_size, 'token')}, but the data has "
                f"{len(vocabulary)}: give vocab_size={len(vocabulary)}"
            )
        self.vocabulary = vocabulary
