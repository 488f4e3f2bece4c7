"""A participant's part of secure aggregation: it answers four questions a round, and shows no update.

Between two questions it does not run. What it must not forget, its keys among it, is in its node's memory,
which is on its own machine.
"""

from __future__ import annotations

import json
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import ConfigRecord

from gdl_numpy.federated.fixed_point import FixedPoint, encoded
from gdl_numpy.federated.flower.messages import masked_message, step_of, weights_of, words_message, words_of
from gdl_numpy.federated.masking import Keys, MaskingClient
from gdl_numpy.federated.update import Layout, check_update

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flwr.app import RecordDict

    from gdl_numpy.federated.rounds import Learner

MEMORY = "masks"


def masked_answer(
    content: RecordDict,
    memory: RecordDict,
    name: str,
    learner: Callable[[], Learner],
    settings: Mapping[str, Any],
) -> RecordDict:
    """Returns the answer to one of the server's questions.

    Args:
        content: the question.
        memory: what is kept from one to the next; it is changed.
        name: the participant's.
        learner: makes it, where it has to learn.
        settings: of the run.

    Raises:
        ValueError: a question out of its turn, or an update that does not suit the run.
    """
    step = step_of(content)
    client = MaskingClient(name) if step == "keys" else remembered(memory, name)
    if step == "keys":
        answer = words_message(name, client.advertise()._asdict())
    elif step == "shares":
        keys = keys_of(words_of(content))
        answer = words_message(name, client.share(keys, len(keys) // 2 + 1))
    elif step == "masked":
        answer = learned(content, client, learner(), settings)
    elif step == "unmask":
        shares = client.unmask(words_of(content).keys())
        answer = words_message(name, {owner: share.to_bytes() for owner, share in shares.items()})
    else:
        raise ValueError(f"under masks there is no step {step!r}")
    memory[MEMORY] = ConfigRecord({"client": json.dumps(client.to_json())})
    return answer


def learned(
    content: RecordDict, client: MaskingClient, learner: Learner, settings: Mapping[str, Any]
) -> RecordDict:
    """Returns what was learned, under masks: only the participant itself can see whether it suits the run."""
    state, number = weights_of(content)
    update, layout = learner.train(state, number), Layout.of(state)
    check_update(update, state, settings.get("max_norm", inf))
    values = encoded(FixedPoint(), layout, update, settings["participants"]).view(np.uint64)
    return masked_message(client.name, client.mask(values, words_of(content)), update.loss)


def remembered(memory: RecordDict, name: str) -> MaskingClient:
    """Returns the client of the question before.

    Raises:
        ValueError: there was none.
    """
    if MEMORY not in memory:
        raise ValueError("it was asked for shares before keys")
    return MaskingClient.from_json(name, json.loads(str(memory[MEMORY]["client"])))


def keys_of(words: Mapping[str, bytes]) -> dict[str, Keys]:
    """Returns everybody's public keys, of "participant 1/mask" and "participant 1/channel".

    Raises:
        KeyError: a participant lacks one.
    """
    names = dict.fromkeys(name.rpartition("/")[0] for name in words)
    return {name: Keys(words[f"{name}/mask"], words[f"{name}/channel"]) for name in names}
