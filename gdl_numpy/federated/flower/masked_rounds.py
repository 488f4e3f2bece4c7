"""The server's part of secure aggregation with participants elsewhere: four questions a round.

Keys, shares, vectors under masks, and shares to take the masks off their sum: `masking` has the protocol. The
average is that of `Masked` bit for bit, since sums of integers are exact, in whatever order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import RecordDict

from gdl_numpy.federated.averaging import Average
from gdl_numpy.federated.flower.messages import (
    WORDS,
    failure_message,
    masked_of,
    sender_of,
    step_message,
    weights_message,
    words_of,
)
from gdl_numpy.federated.masked import Masked
from gdl_numpy.federated.masking import KEY, Keys, unmasked_sum
from gdl_numpy.federated.shamir import Share
from gdl_numpy.federated.update import Layout, Update

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gdl_numpy.federated.flower.exchange import Exchange

STEPS = ("keys", "shares", "masked", "unmask")


class MaskedRounds:
    """Rounds in which the server gets vectors under masks.

    Args:
        exchange: with the participants.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self.number = exchange, -1
        self.protection = Unmasking(self)
        self.found: dict[str, RecordDict] = {}
        self.keys: dict[str, Keys] = {}
        self.masked: dict[str, np.ndarray] = {}
        self.sent: dict[str, int] = {}

    def answers(self, state: Mapping[str, np.ndarray], number: int) -> Mapping[str, RecordDict]:
        """Returns everybody's last answer in a round; all are asked at once, the first time."""
        if number != self.number:
            self.number, self.found, self.masked, self.sent = number, {}, {}, {}
            self.found = self._ask(state, number)
        return self.found

    def _ask(self, state: Mapping[str, np.ndarray], number: int) -> dict[str, RecordDict]:
        found = self.exchange.ask_all(step_message("keys", number))
        words = self._words(found)
        for name in [name for name, each in words.items() if not are_keys(each)]:
            del words[name]
            found[name] = failure_message(name, f"its public keys must be of {KEY} bytes each")
        self.keys = {name: Keys(**each) for name, each in words.items()}
        if len(self.keys) < 2:
            alone = "there is nobody else to mask its update with"
            return found | {name: failure_message(name, alone) for name in self.keys}
        everybody = {
            f"{name}/{kind}": getattr(keys, kind) for name, keys in self.keys.items() for kind in keys._fields
        }
        given = self.exchange.ask({name: step_message("shares", number, everybody) for name in self.keys})
        shares = self._words(given)
        for name in [name for name, each in shares.items() if each.keys() != self.keys.keys()]:
            del shares[name]
            given[name] = failure_message(name, "its shares are not for those who take part")
        questions = {}
        for name in shares:
            content = weights_message(state, number)
            content.update(
                step_message("masked", number, {sender: shares[sender][name] for sender in shares})
            )
            questions[name] = content
        earlier = found | given
        # Who has nothing later than keys or shares has been silent since: its last answer is none.
        over = {name: content for name, content in earlier.items() if WORDS not in content.config_records}
        return over | self.exchange.ask(questions)

    def _words(self, found: Mapping[str, RecordDict]) -> dict[str, dict[str, bytes]]:
        """The bytes of those who have answered with some; what they say is counted as sent."""
        words = {}
        for name, content in found.items():
            try:
                words[name] = words_of(content)
            except (KeyError, TypeError):
                continue
            self.sent[name] = self.sent.get(name, 0) + sum(map(len, words[name].values()))
        return words

    def update(self, answer: RecordDict, state: Mapping[str, np.ndarray]) -> Update | str:
        """Returns what `Federation` may know of an update under masks: its loss; or why there is none."""
        found = masked_of(answer)
        if isinstance(found, str):
            return found
        vector, loss = found
        size = Layout.of(state).size + 1  # and the number of examples
        if vector.shape != (size,) or vector.dtype != np.uint64:
            return f"its vector must be of {size:,} masked numbers, got {vector.shape} of {vector.dtype}"
        name = sender_of(answer)
        self.masked[name] = vector
        nothing = {key: np.zeros(array.shape) for key, array in state.items()}
        return Update(name, nothing, 1, loss)

    def unmask(self, survivors: Sequence[str]) -> dict[str, dict[str, Share]]:
        """Returns the shares that survivors give for the sum of their vectors."""
        names = dict.fromkeys(survivors, b"")
        found = self.exchange.ask({name: step_message("unmask", self.number, names) for name in survivors})
        words = self._words(found)
        return {
            name: {owner: Share.from_bytes(each) for owner, each in w.items()} for name, w in words.items()
        }


def are_keys(words: Mapping[str, bytes]) -> bool:
    """Whether an answer has what the others need, who could not go on with less."""
    return words.keys() == set(Keys._fields) and all(len(key) == KEY for key in words.values())


class Unmasking(Masked):
    """The average of vectors whose masks participants elsewhere have made.

    Args:
        rounds: that it is of.
    """

    def __init__(self, rounds: MaskedRounds) -> None:
        super().__init__()
        self.rounds = rounds

    def check(self, layout: Layout, update: Update, participants: int) -> None:
        """Nothing can be seen here: each participant has done it."""

    def average(self, layout: Layout, selected: Sequence[str], updates: Sequence[Update]) -> Average:
        rounds, survivors = self.rounds, [update.participant for update in updates]
        threshold = self.needed(selected, survivors)
        masked: dict[str, Any] = {name: rounds.masked[name] for name in survivors}
        answers = rounds.unmask(survivors)
        if len(answers) < threshold:
            raise ValueError(f"masks come off by {threshold} participants, got the shares of {len(answers)}")
        total = unmasked_sum(masked, answers, rounds.keys)
        sent = {name: rounds.sent[name] + masked[name].nbytes for name in survivors}
        return Average(self.numbers.decode(total.view(np.int64)), sent, masked)
