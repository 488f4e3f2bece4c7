"""Questions to participants, and the answers that come in time."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from flwr.app import Message, RecordDict

from gdl_numpy.federated.flower.messages import failure_message, sender_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flwr.serverapp import Grid

POLL = 0.2  # seconds between two looks at what has come


class Exchange:
    """Asks participants, and waits for those who may answer.

    Who was silent until the time was up is asked again, but not waited for.

    Args:
        grid: Flower's way to the participants.
        names: of those who take part.
        timeout: seconds in which an answer must come, and in which all must have connected at first.
    """

    def __init__(self, grid: Grid, names: Sequence[str], timeout: float) -> None:
        self.grid, self.names, self.timeout = grid, names, timeout
        self.expected, self.silent = set(names), set[int]()
        self.nodes: dict[str, int] = {}

    def ask_all(self, content: RecordDict) -> dict[str, RecordDict]:
        """Returns the answers of all who are connected, or come back in time, by their names.

        Args:
            content: what each is sent.
        """
        answers = self._gather(lambda: dict.fromkeys(self.grid.get_node_ids(), content), self.expected)
        self.expected = set(answers) or set(self.names)
        return answers

    def ask(self, contents: Mapping[str, RecordDict]) -> dict[str, RecordDict]:
        """Returns the answers of those who have answered before, by their names.

        Args:
            contents: what each is sent, by its name.
        """
        to_nodes = {self.nodes[name]: content for name, content in contents.items()}
        return self._gather(lambda: to_nodes, set(contents))

    def _gather(
        self, contents: Callable[[], Mapping[int, RecordDict]], expected: set[str]
    ) -> dict[str, RecordDict]:
        asked: set[int] = set()
        waiting: dict[str, int] = {}  # nodes, by the messages that they have not answered
        answers: dict[str, RecordDict] = {}
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            if new := {node: content for node, content in contents().items() if node not in asked}:
                messages = [Message(new[node], node, "train", ttl=self.timeout) for node in sorted(new)]
                waiting |= dict(zip(self.grid.push_messages(messages), sorted(new), strict=True))
                asked |= new.keys()
            for reply in self.grid.pull_messages(list(waiting)) if waiting else ():
                node = waiting.pop(reply.metadata.reply_to_message_id)
                self.silent.discard(node)
                self._take(reply, node, answers)
            if expected <= answers.keys() and set(waiting.values()) <= self.silent:
                break
            time.sleep(POLL)
        self.silent |= set(waiting.values())
        return answers

    def _take(self, reply: Message, node: int, answers: dict[str, RecordDict]) -> None:
        """Notes an answer, if it says whose it is; a participant may be wrong, or mean harm."""
        if reply.has_error():
            return
        with suppress(KeyError, TypeError, ValueError):
            name = sender_of(reply.content)
            if name in answers:
                answers[name] = failure_message(name, "it has answered twice")
            else:
                answers[name], self.nodes[name] = reply.content, node
