"""Federated learning: one model, trained by many who keep their examples to themselves (chapter 15).

    participants = [Participant(f"participant {k}", Shard(batches, rows), task, optimizer)
                    for k, rows in enumerate(split_evenly(batches.n, 3))]
    for record in Federation(task, participants, held_out).run(rounds=3): ...

`leak` shows what the server then knows of the examples; each of the other modules is a way to know less.
"""

from gdl_numpy.federated.averaging import Average, Plain, Protection, weighted_average
from gdl_numpy.federated.participant import Participant, Shard
from gdl_numpy.federated.rounds import Federation, Learner, Round, RoundError
from gdl_numpy.federated.splits import split_by_label, split_by_owner, split_by_size, split_evenly
from gdl_numpy.federated.update import Layout, RefusedUpdateError, Update, check_update

__all__ = [
    "Average",
    "Federation",
    "Layout",
    "Learner",
    "Participant",
    "Plain",
    "Protection",
    "RefusedUpdateError",
    "Round",
    "RoundError",
    "Shard",
    "Update",
    "check_update",
    "split_by_label",
    "split_by_owner",
    "split_by_size",
    "split_evenly",
    "weighted_average",
]
