"""A participant on Flower: what is run for each message of the server's, in a process of its own.

Which participant it is, its node's configuration says (`participant=2`); what is learned, the run's settings;
where the examples are, $GDL_DATA on its own machine.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from gdl_numpy.federated.experiment import Experiment
from gdl_numpy.federated.flower import FINISHED, HOME
from gdl_numpy.federated.flower.alive import end_with_it
from gdl_numpy.federated.flower.masked_client import masked_answer
from gdl_numpy.federated.flower.messages import failure_message, update_message, weights_of
from gdl_numpy.messages import as_line, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from gdl_numpy.federated.rounds import Learner

    LearnerOf = Callable[[Experiment, Sequence[np.ndarray], int, Mapping[str, Any]], Learner]


def client_app(learner_of: LearnerOf) -> ClientApp:
    """Returns the app that learns when the server asks for it.

    Args:
        learner_of: makes the participant, of the experiment, everybody's shards, its own number from 0 on,
            and the settings.
    """
    end_with_it()
    app = ClientApp()

    def train(message: Message, context: Context) -> Message:
        number = int(context.node_config["participant"]) - 1
        settings = json.loads(str(context.run_config["settings"]))
        try:
            make = partial(learner, learner_of, settings, number)
            if settings["protect"] == "masks":
                name = f"participant {number + 1}"
                content = masked_answer(message.content, context.state, name, make, settings)
            else:
                content = update_message(make().train(*weights_of(message.content)))
        except Exception as error:  # of whatever kind: the server is told in a line
            content = failure_message(f"participant {number + 1}", as_line(reason_of(error)))
        return Message(content, reply_to=message)

    def goodbye(message: Message, _: Context) -> Message:
        if HOME in os.environ:
            (Path(os.environ[HOME]) / FINISHED).touch()
        return Message(RecordDict(), reply_to=message)

    app.train()(train)
    app.query()(goodbye)
    return app


def learner(learner_of: LearnerOf, settings: Mapping[str, Any], number: int) -> Learner:
    """Returns a participant of a run.

    Args:
        learner_of: see `client_app`.
        settings: of the run.
        number: which one, from 0 on.

    Raises:
        ValueError: the run has no such participant, or its settings cannot be meant.
    """
    experiment = Experiment.from_settings(settings)
    shards = experiment.shards_of(settings)
    if not 0 <= number < len(shards):
        raise ValueError(f"the run has participants 1 to {len(shards)}, and no {number + 1}")
    return learner_of(experiment, shards, number, settings)
