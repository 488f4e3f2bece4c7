"""The average of updates under masks: a whole round of `masking`, for participants some of whom drop out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.federated.averaging import Average, Protection
from gdl_numpy.federated.fixed_point import FixedPoint, encoded
from gdl_numpy.federated.masking import MaskingClient, unmasked_sum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdl_numpy.federated.update import Layout, Update


@dataclass
class Masked(Protection):
    """Secure aggregation: the server gets each vector under masks, and can take them off the sum alone.

    Who is selected but has no update has dropped out after keys and shares were exchanged; its masks are
    taken off by the others' shares. The sum of a single update would be that update, and is refused.

    Attributes:
        numbers: how real numbers become integers; the average is off by half its step at most.
        threshold: how many participants must have an update; None for one more than half of those selected.
    """

    numbers: FixedPoint = field(default_factory=FixedPoint)
    threshold: int | None = None

    sees = "vectors under masks, and their sum"

    def check(self, layout: Layout, update: Update, participants: int) -> None:
        encoded(self.numbers, layout, update, participants)

    def average(self, layout: Layout, selected: Sequence[str], updates: Sequence[Update]) -> Average:
        """See `Protection.average`.

        Raises:
            ValueError: fewer updates than the threshold, or than two; or numbers outside the fixed point's
                range.
        """
        threshold = self.needed(selected, [update.participant for update in updates])
        clients = {name: MaskingClient(name) for name in selected}
        keys = {name: client.advertise() for name, client in clients.items()}
        shares = {name: client.share(keys, threshold) for name, client in clients.items()}
        masked = {}
        for update in updates:
            name = update.participant
            values = encoded(self.numbers, layout, update, len(selected)).view(np.uint64)
            for_it = {sender: content[name] for sender, content in shares.items()}
            masked[name] = clients[name].mask(values, for_it)
        answers = {name: clients[name].unmask(masked.keys()) for name in masked}
        total = unmasked_sum(masked, answers, keys)
        sent = {
            name: sum(map(len, keys[name]))
            + sum(map(len, shares[name].values()))
            + masked[name].nbytes
            + sum(len(share.to_bytes()) for share in answers[name].values())
            for name in masked
        }
        return Average(self.numbers.decode(total.view(np.int64)), sent, masked)

    def needed(self, selected: Sequence[str], survivors: Sequence[str]) -> int:
        """Returns how many shares take the masks off.

        Raises:
            ValueError: fewer survivors than that, or than two.
        """
        threshold = len(selected) // 2 + 1 if self.threshold is None else self.threshold
        if len(survivors) < max(threshold, 2):
            raise ValueError(
                f"masks of {len(selected)} participants come off the sum of at least {max(threshold, 2)} "
                f"updates, got {len(survivors)}"
            )
        return threshold
