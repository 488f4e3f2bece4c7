"""A round of federated learning in torch alone, the twin of one of `gdl_numpy.federated.Federation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdl_torch.federated.averaging import weighted_average

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdl_numpy.federated import Update
    from gdl_torch.federated.participant import Participant
    from gdl_torch.tasks import Task


def federated_round(model: Task, participants: Sequence[Participant], number: int) -> list[Update]:
    """Has participants learn from a model's weights, and makes their average the model's.

    Where `Federation` averages by how much weights moved, here the weights are averaged themselves.

    Args:
        model: the global one, changed in place.
        participants: all of whom learn.
        number: of the round, from 0 on.

    Returns:
        what they learned.
    """
    state = {name: tensor.numpy(force=True).copy() for name, tensor in model.state_dict().items()}
    updates = [participant.train(state, number) for participant in participants]
    states = [participant.model.state_dict() for participant in participants]
    model.load_state_dict(weighted_average(states, [update.examples for update in updates]))
    return updates
