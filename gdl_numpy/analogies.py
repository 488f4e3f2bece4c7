"""A test of word vectors: what is to a third word as a second one is to a first (Mikolov et al. 2013).

    score = answer(WordVectors.load("runs/blanks/model.safetensors"), read_questions())
    score["plural"].first            # fraction of the questions whose answer was the nearest word

The questions, in `analogies.txt`, were written for this project, with words that reviews of films have.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdl_numpy.word_vectors import Metric, WordVectors

QUESTIONS = Path(__file__).with_suffix(".txt")
Pair = tuple[str, str]


@dataclass(frozen=True)
class Score:
    """How many questions of a kind were answered.

    Attributes:
        asked: those whose four words the vocabulary has.
        first: of these, those whose answer was the nearest word.
        among: those whose answer was among the nearest few.
        unknown: those that could not be asked.
    """

    asked: int
    first: int
    among: int
    unknown: int

    def __add__(self, other: Score) -> Score:
        return Score(
            self.asked + other.asked,
            self.first + other.first,
            self.among + other.among,
            self.unknown + other.unknown,
        )


def read_questions(path: str | Path = QUESTIONS) -> dict[str, list[Pair]]:
    """Returns the pairs of words of each kind: any two pairs of a kind are a question.

    A line is ": KIND", two words, or empty.

    Raises:
        ValueError: the file cannot be read, or has another line.
    """
    kinds: dict[str, list[Pair]] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the questions in {path} ({error})") from error
    pairs: list[Pair] | None = None
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words[:1] == [":"] and len(words) > 1:
            pairs = kinds.setdefault(" ".join(words[1:]), [])
        elif len(words) == 2 and pairs is not None:
            pairs.append((words[0], words[1]))
        elif words:
            raise ValueError(
                f"{path}, line {number}: expected ': KIND', or two words after one; got {line!r}"
            )
    if not any(len(pairs) > 1 for pairs in kinds.values()):
        raise ValueError(f"{path}: expected at least two pairs of words of a kind")
    return kinds


def answer(
    vectors: WordVectors, kinds: Mapping[str, list[Pair]], n: int = 5, metric: Metric = "cosine"
) -> dict[str, Score]:
    """Asks all questions: of two pairs (a, b) and (c, d), which word is to c as b is to a? It should be d.

    None of a, b and c is an answer. A word that the vocabulary lacks makes no question.

    Args:
        vectors: of the words.
        kinds: pairs of words by what makes them pairs.
        n: among so many of the nearest words an answer counts for `among`.
        metric: what is near.
    """
    known = set(vectors.vocabulary.tokens[vectors.vocabulary.unknown :])
    scores = {}
    for kind, pairs in kinds.items():
        counts: Counter[str] = Counter()
        for (a, b), (c, d) in permutations(pairs, 2):
            if not known.issuperset((a, b, c, d)):
                counts["unknown"] += 1
                continue
            nearest = [near.word for near in vectors.analogy([b, c], [a], n, metric)]
            counts["asked"] += 1
            counts["first"] += nearest[:1] == [d]
            counts["among"] += d in nearest
        scores[kind] = Score(counts["asked"], counts["first"], counts["among"], counts["unknown"])
    return scores
