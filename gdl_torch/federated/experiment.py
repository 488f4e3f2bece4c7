"""The participants of a run as its user describes it, with torch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from gdl_numpy.federated.participant import Shard
from gdl_torch.export import from_numpy
from gdl_torch.federated.participant import Participant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from gdl_numpy.federated.experiment import Experiment


def learner_of(
    experiment: Experiment, shards: Sequence[np.ndarray], number: int, settings: Mapping[str, Any]
) -> Participant:
    """Returns one of the participants of a run: see `gdl_numpy.federated.experiment.learner_of`."""
    seed = settings["seed"] + number
    model = from_numpy(experiment.task.model, **experiment.task.hparams)
    shard = Shard(experiment.train, shards[number], seed=seed)
    optimizer = partial(torch.optim.SGD, lr=experiment.lr)
    return Participant(
        f"participant {number + 1}", shard, model, optimizer, epochs=settings["local_epochs"], seed=seed
    )
