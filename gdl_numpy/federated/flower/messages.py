"""What passes between server and participants: named arrays as NumPy's files have them, numbers and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from gdl_numpy.federated.update import Update

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

ARRAYS, NUMBERS, WORDS = "arrays", "numbers", "words"
MASKED = "masked"


def weights_message(state: Mapping[str, np.ndarray], number: int) -> RecordDict:
    """Returns what a participant is sent in a round.

    Args:
        state: the global model's weights, by the parameters' names.
        number: of the round, from 0 on.
    """
    return RecordDict({ARRAYS: _record(state), NUMBERS: ConfigRecord({"number": number})})


def weights_of(content: RecordDict) -> tuple[dict[str, np.ndarray], int]:
    """Returns the weights and the round's number of such a message.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return _arrays(content), int(_numbers(content)["number"])


def update_message(update: Update) -> RecordDict:
    """Returns what a participant answers."""
    numbers: dict[str, Any] = {
        "participant": update.participant,
        "examples": update.examples,
        "loss": float(update.loss),
    }
    return RecordDict({ARRAYS: _record(update.delta), NUMBERS: ConfigRecord(numbers)})


def step_message(step: str, number: int, words: Mapping[str, bytes] | None = None) -> RecordDict:
    """Returns a message of a protocol in several steps, which may have arrays besides.

    Args:
        step: which one.
        number: of the round.
        words: bytes by name: keys, shares, or the names alone.
    """
    numbers = ConfigRecord({"step": step, "number": number})
    return RecordDict({NUMBERS: numbers, WORDS: ConfigRecord(dict(words or {}))})


def step_of(content: RecordDict) -> str:
    """Returns the step of such a message, "" of any other."""
    return str(_numbers(content).get("step", ""))


def words_of(content: RecordDict) -> dict[str, bytes]:
    """Returns the bytes by name of such a message, or of an answer to it.

    Raises:
        KeyError, TypeError: it has none.
    """
    words: dict[str, Any] = dict(content.config_records[WORDS])
    return {name: bytes(value) for name, value in words.items()}


def words_message(participant: str, words: Mapping[str, bytes]) -> RecordDict:
    """Returns the answer to a step."""
    return RecordDict({NUMBERS: ConfigRecord({"participant": participant}), WORDS: ConfigRecord(dict(words))})


def masked_message(participant: str, masked: np.ndarray, loss: float) -> RecordDict:
    """Returns the answer of who has learned, and shows nothing but its loss and a vector under masks."""
    numbers: dict[str, Any] = {"participant": participant, "loss": float(loss)}
    return RecordDict({ARRAYS: _record({MASKED: masked}), NUMBERS: ConfigRecord(numbers)})


def masked_of(content: RecordDict) -> tuple[np.ndarray, float] | str:
    """Returns the vector and the loss of such an answer, or why there is none.

    Raises:
        KeyError, TypeError, ValueError: it is no such answer.
    """
    numbers = _numbers(content)
    if "failure" in numbers:
        return str(numbers["failure"])
    return _arrays(content)[MASKED], float(numbers["loss"])


def failure_message(participant: str, reason: str) -> RecordDict:
    """Returns what a participant answers that could not learn."""
    return RecordDict({NUMBERS: ConfigRecord({"participant": participant, "failure": reason})})


def sender_of(content: RecordDict) -> str:
    """Returns by which name a participant calls itself in its answer.

    Raises:
        KeyError, TypeError: it gives none.
    """
    return str(_numbers(content)["participant"])


def update_of(content: RecordDict) -> Update | str:
    """Returns the update in an answer, or why there is none. Whether it can be used, `check_update` says.

    Raises:
        KeyError, TypeError, ValueError: it is no such answer.
    """
    numbers = _numbers(content)
    if "failure" in numbers:
        return str(numbers["failure"])
    return Update(sender_of(content), _arrays(content), int(numbers["examples"]), float(numbers["loss"]))


def _record(arrays: Mapping[str, np.ndarray]) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def _arrays(content: RecordDict) -> dict[str, np.ndarray]:
    return {name: array.numpy() for name, array in content.array_records[ARRAYS].items()}


def _numbers(content: RecordDict) -> dict[str, Any]:
    return dict(content.config_records[NUMBERS])
