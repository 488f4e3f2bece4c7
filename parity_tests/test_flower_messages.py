"""What passes between server and participants on Flower, in one process: silence, and the steps of masks."""

from __future__ import annotations

import time
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from gdl_numpy.federated import Layout, Update

if TYPE_CHECKING:
    from flwr.serverapp import Grid

pytest.importorskip("flwr", reason="flwr is not installed (extra federated)")

from flwr.app import RecordDict

from gdl_numpy.federated.flower.exchange import Exchange
from gdl_numpy.federated.flower.masked_client import masked_answer
from gdl_numpy.federated.flower.masked_rounds import MaskedRounds
from gdl_numpy.federated.flower.messages import failure_message, step_of, update_of, words_message
from gdl_numpy.federated.flower.status import failure_in

pytestmark = pytest.mark.usefixtures("unchecked_types")  # as people run it


class SilentGrid:
    """Flower's way to participants of whom each gives an answer, or none.

    Args:
        answers: of each node.
    """

    def __init__(self, answers: dict[int, RecordDict | None]) -> None:
        self.answers = answers
        self.pending: dict[str, int] = {}

    def get_node_ids(self) -> list[int]:
        return list(self.answers)

    def push_messages(self, nodes: list[int]) -> list[str]:
        sent = {f"{len(self.pending)}-{node}": node for node in nodes}
        self.pending |= sent
        return list(sent)

    def pull_messages(self, names: list[str]) -> list[Any]:
        found = []
        for name in names:
            content = self.answers[self.pending[name]]
            if content is not None:
                metadata = SimpleNamespace(reply_to_message_id=name)
                found.append(SimpleNamespace(has_error=lambda: False, metadata=metadata, content=content))
        return found


def test_who_is_silent_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And who comes twice is no one."""
    monkeypatch.setattr("gdl_numpy.federated.flower.exchange.Message", lambda _, node, *__, **___: node)
    names = ["participant 1", "participant 2"]
    answers = {1: failure_message(names[0], "no power"), 2: None, 3: RecordDict()}
    exchange = Exchange(cast("Grid", SilentGrid(answers)), names, 1.0)
    start = time.monotonic()
    assert exchange.ask_all(RecordDict()).keys() == {"participant 1"}
    assert time.monotonic() - start >= 1.0
    start = time.monotonic()
    assert exchange.ask_all(RecordDict()).keys() == {"participant 1"}
    assert time.monotonic() - start < 0.5
    answers[2] = answers[1]
    assert update_of(exchange.ask_all(RecordDict())["participant 1"]) == "it has answered twice"


class Scripted:
    """Participants in this process, who answer the steps of a round under masks.

    Args:
        count: how many there are.
        silent_from: the step from which on the last one says nothing.
    """

    timeout = 1.0

    def __init__(self, count: int, silent_from: str = "") -> None:
        self.memories = {f"participant {k + 1}": RecordDict() for k in range(count)}
        self.names = list(self.memories)
        self.last, self.silent_from = f"participant {count}", silent_from
        self.silent = False

    def ask_all(self, content: RecordDict) -> dict[str, RecordDict]:
        return self.ask(dict.fromkeys(self.memories, content))

    def ask(self, contents: dict[str, RecordDict]) -> dict[str, RecordDict]:
        settings = {"participants": len(self.memories)}
        found = {}
        for name, content in contents.items():
            self.silent = self.silent or step_of(content) == self.silent_from
            if not (self.silent and name == self.last):
                make = partial(Steps, name)
                found[name] = masked_answer(content, self.memories[name], name, make, settings)
        return found


class Steps:
    """A participant whose every weight moves by its number."""

    def __init__(self, name: str) -> None:
        self.name = name

    def train(self, state: Any, _: int) -> Update:
        return Update(
            self.name,
            {key: np.full(array.shape, float(self.name[-1])) for key, array in state.items()},
            5,
            0.0,
        )


def masked_round(rounds: MaskedRounds) -> tuple[np.ndarray, dict[str, Update | str]]:
    """The average of a round, and what each participant's last answer was."""
    state = {"w": np.zeros(4)}
    found = {name: rounds.update(answer, state) for name, answer in rounds.answers(state, 0).items()}
    updates = [update for update in found.values() if isinstance(update, Update)]
    average = rounds.protection.average(Layout.of(state), rounds.exchange.names, updates)
    return average.delta, found


@pytest.mark.parametrize(
    ("step", "mean"), [("keys", 2.5), ("shares", 2.5), ("masked", 2.5), ("unmask", 3.0), ("", 3.0)]
)
def test_masks_come_off_at_whichever_step_one_drops_out(step: str, mean: float) -> None:
    """The mean of 1 to 4, or of 1 to 5 where it has sent its vector."""
    exchange = Scripted(5, silent_from=step)
    rounds = MaskedRounds(cast("Exchange", exchange))
    average, found = masked_round(rounds)
    assert ("participant 5" in found) == (mean == 3.0)  # and else "it did not answer"
    np.testing.assert_array_equal(average, np.full(4, mean))
    with pytest.raises(ValueError, match="has given its shares: it gives no others"):
        rounds.unmask(["participant 1", "participant 2", "participant 3"])


def test_who_has_no_keys_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Scripted(3)
    asked = exchange.ask_all
    short = {"participant 3": words_message("participant 3", {"mask": b"short"})}
    monkeypatch.setattr(exchange, "ask_all", lambda content: asked(content) | short)
    average, found = masked_round(MaskedRounds(cast("Exchange", exchange)))
    assert found["participant 3"] == "its public keys must be of 32 bytes each"
    np.testing.assert_array_equal(average, np.full(4, 1.5))


def test_who_is_alone_is_told_so() -> None:
    rounds = MaskedRounds(cast("Exchange", Scripted(2, silent_from="keys")))
    (answer,) = rounds.answers({"w": np.zeros(4)}, 0).values()
    reason = "there is nobody else to mask its update with"
    assert rounds.update(answer, {"w": np.zeros(4)}) == reason


def test_shares_for_others_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Scripted(3)
    ask = exchange.ask

    def asked(contents: dict[str, RecordDict]) -> dict[str, RecordDict]:
        found = ask(contents)
        if "shares" in map(step_of, contents.values()):
            found["participant 3"] = words_message("participant 3", {"nobody": b""})
        return found

    monkeypatch.setattr(exchange, "ask", asked)
    average, found = masked_round(MaskedRounds(cast("Exchange", exchange)))
    assert found["participant 3"] == "its shares are not for those who take part"
    np.testing.assert_array_equal(average, np.full(4, 1.5))


def test_no_answer_of_a_round_is_taken_for_one_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nobody could be asked."""
    rounds, state = MaskedRounds(cast("Exchange", Scripted(2))), {"w": np.zeros(4)}
    assert rounds.answers(state, 0)
    monkeypatch.setattr(rounds.exchange, "ask_all", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rounds.answers(state, 1)
    assert not rounds.answers(state, 1)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (
            '{"success": true, "runs": [{"status": "finished:failed", "status-details": "no\\nword"}]}',
            "no word",
        ),
        ('a warning\n{"runs": [{"status": "finished:stopped", "status-details": "by hand"}]}\n', "by hand"),
        ('{"runs": [{"status": "starting", "status-details": "N/A"}]}', None),
        ('{"success": false, "error-message": "Connection to the SuperLink is unavailable."}', None),
        ('{"runs": []}', None),
        ('{"runs": [', None),
        ("", None),
    ],
)
def test_only_a_run_that_flower_calls_finished_has_failed(answer: str, failure: str | None) -> None:
    """Whatever else `flwr list` says, or fails to say, the run is waited for."""
    assert failure_in(answer) == failure
