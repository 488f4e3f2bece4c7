"""Who has which examples: a data set divided among participants, as it is divided in the world or unlike it.

    for rows in split_by_label(digits.train.targets, participants=5, alpha=0.5, seed=0): ...

Every split gives, for each participant, the numbers of its examples; each example goes to one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.messages import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Int64

    Rows = list[Int64[np.ndarray, " _"]]


def split_evenly(n: int, participants: int, seed: int = 0) -> Rows:
    """Divides `n` examples at random into shards whose sizes differ by at most one.

    Raises:
        ValueError: no participant, or more of them than examples.
    """
    _check_participants(n, participants)
    return _sorted(np.array_split(np.random.default_rng(seed).permutation(n), participants))


def split_by_size(n: int, sizes: Sequence[int], seed: int = 0) -> Rows:
    """Divides `n` examples at random into shards of these sizes, and one of the rest.

    Raises:
        ValueError: a size below 1, or nothing left for the last participant.
    """
    if min(sizes, default=1) < 1:
        raise ValueError(f"split_by_size: sizes must be at least 1, got {min(sizes)}")
    if sum(sizes) >= n:
        raise ValueError(f"split_by_size: sizes must leave some of {n:,} examples, got {sum(sizes):,} in all")
    return _sorted(np.split(np.random.default_rng(seed).permutation(n), np.cumsum(sizes)))


def split_by_label(
    labels: Int64[np.ndarray, " examples"], participants: int, alpha: float, seed: int = 0
) -> Rows:
    """Divides examples so that labels are spread unevenly, each by proportions from a Dirichlet distribution.

    For each label, the participants' parts of its examples are drawn from Dir(α, …, α). With a large α all
    have nearly the same; with a small one, each label belongs to few of them. (T.-M. H. Hsu, H. Qi and M.
    Brown, *Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification*,
    2019, draw labels for each participant in this way; drawing participants for each label leaves no example
    over, as in Li, Diao, Chen and He, *Federated Learning on Non-IID Data Silos*, 2022.)

    Args:
        labels: the class of each example.
        participants: how many there are.
        alpha: α, more than 0.
        seed: decides the proportions, and who gets which of a label's examples.

    Raises:
        ValueError: an argument out of its range, or a participant is left without examples.
    """
    _check_participants(len(labels), participants)
    if not 0 < alpha < np.inf:
        raise ValueError(f"split_by_label: alpha must be more than 0, and finite, got {alpha}")
    rng = np.random.default_rng(seed)
    owner = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        bounds = np.cumsum(rng.dirichlet(np.full(participants, alpha)))[:-1]
        owner[rows] = np.searchsorted(bounds, (np.arange(len(rows)) + 0.5) / len(rows))
    return split_by_owner(owner, participants, f"split_by_label: alpha={alpha:g} with seed={seed}")


def split_by_owner(
    owners: Int64[np.ndarray, " examples"], participants: int | None = None, source: str = "split_by_owner"
) -> Rows:
    """Gives each participant the examples that are its own: the mails of its mailbox.

    Args:
        owners: whose each example is, from 0 on.
        participants: how many there are; None for as many as own something.
        source: what the owners come from, for the message.

    Raises:
        ValueError: a participant has no examples.
    """
    count = int(owners.max(initial=-1)) + 1 if participants is None else participants
    sizes = np.bincount(owners, minlength=count)
    if len(sizes) != count or not sizes.all():
        empty = np.flatnonzero(sizes == 0)
        what = f"participant {empty[0]} without examples" if len(empty) else f"owners beyond {count - 1}"
        raise ValueError(f"{source} leaves {what}: every shard needs one at least")
    by_owner = np.argsort(owners, kind="stable")
    return np.split(by_owner, np.cumsum(sizes)[:-1])


def _check_participants(n: int, participants: int) -> None:
    if participants < 1:
        raise ValueError(f"participants must be at least 1, got {participants}")
    if participants > n:
        raise ValueError(
            f"participants must be at most {n:,}, the number of examples, got {participants:,}: "
            f"with {counted(n, 'example')} a shard would be empty"
        )


def _sorted(shards: Sequence[np.ndarray]) -> Rows:
    return [np.sort(shard) for shard in shards]
