"""bAbI: twenty tasks of short stories in English, each with questions whose answers follow from them.

Chapters 12 and 13 of the book read the first task line by line as sentences, whether they are facts or
questions with their answers.

Source: J. Weston et al., *Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks*, 2015; the
files that the book's code comes with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from gdl_numpy.data.dataset import SentenceDataset
from gdl_numpy.data.sets.source import DataFile, Source

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://raw.githubusercontent.com/iamtrask/Grokking-Deep-Learning/master/tasksv11/en"

# Name, bytes, SHA-256.
PUBLISHED = """
qa1_single-supporting-fact_train 94346 c64ba9b1a49bbb111ffc4cd2ae4f129d25c012399dd7ade9679eea464b9afb05
qa1_single-supporting-fact_test 94477 55acf66cef2f6d798e2aa1d056e1ec8f24e910ea9215b639450574321132959b
qa2_two-supporting-facts_train 177412 a4978af5bc0dc30191810e7c9949aaa6eae939ed0f6beb9fcb5f4330c2a27860
qa2_two-supporting-facts_test 179835 eff93fb9cd81ba02eb765772cf7cc269769ed44ec71cbbbc19cfb16ee5eba0f6
qa3_three-supporting-facts_train 529204 a6e78019f36a02a7ed71fe6aaded0b563ff09c8deec392931801fcd9c6af4d60
qa3_three-supporting-facts_test 526527 17795c977100baf8188f386522ae301b62d6c1a13efc01b3aea781e588b4d57f
qa4_two-arg-relations_train 117470 c9370502d85fa382f32d1fea2111e817f81ae9e3e79eb2924a1a5392a90417fa
qa4_two-arg-relations_test 117394 07f0ca18ddeea9eed4ba6d59e162adcb0ce44815721114b3540d92825509331e
qa5_three-arg-relations_train 199473 086cd59c3ca9677bfac3d6a22ca5853c76a5c1fbae3159c7c4a6aef759a74ec0
qa5_three-arg-relations_test 207037 ec825c1c8a76e63a31f0d7a7763cd63740e98332fa9bdf246a19068949bd5f97
qa6_yes-no-questions_train 100561 5a133115ee35d475776df703ff605d145b11effbcdbf7e74861f9d5639246a5a
qa6_yes-no-questions_test 100109 b108b16f1eccbd1c24df6dca2649079a7b2f10af7fd12d4c45a3393802de59e3
qa7_counting_train 135895 dca03bd91876951c49f1c971c83c9dd55404de60201b7b6435451cf7ddb4751c
qa7_counting_test 130136 a74d1f2b91329b2bae814d41cdac2fbdfdf0328562b7d8afa9a0fa576d461e27
qa8_lists-sets_train 124487 058604df6f9440458317e8ae685d2b7b84261e1a80b4d6410a9140d16f81bf06
qa8_lists-sets_test 126863 362a653c821a580fa315a85243b4f03bfa06fa7e0269b6f8e596f8fe6911646a
qa9_simple-negation_train 97310 0c3b89921af0caea1c4059ee3f7b7f2a88869f924195a428da37820446b8c49f
qa9_simple-negation_test 97208 63590aff3f89993db409f0e9a9eb39c2a5b9d5efff99b255d800a891b0044d9f
qa10_indefinite-knowledge_train 99217 0b7691689447bab05476c5b48c44999b41e747c3978df69c18fdd87b60d6e8b3
qa10_indefinite-knowledge_test 99632 fde8f20ed0b3ba979058ed391a566af34653f23baab5b2793ee37f87ef4e88b7
qa11_basic-coreference_train 104520 9468de9a1f256f43dfda693a5d07182d21149a82b65f7c2451c64e9cff5eb138
qa11_basic-coreference_test 104800 46f3290d0158ce1285a40cd2d793f5a65f86ae5000226e165cbc85a3dfeb2f6f
qa12_conjunction_train 114560 45c2764bb2d3c8f699d35e9d9aa7958fcd96379c6e907116cdf74526c108bb25
qa12_conjunction_test 114489 6437718f8f9801ce345869e910b896836cdc6fd2d01dc7b4d2df49730703b4b1
qa13_compound-coreference_train 116516 533a391edbda743e4c99504de88b40cdded5b1d5ef454d1390f0863f748a4cc9
qa13_compound-coreference_test 116444 76a25b684f23c9cc473d8cd1465506168b9a1ec8891cfc59d0bbd87e6a064990
qa14_time-reasoning_train 152131 b7561cbc624205c9c2fdbb8c843cfa8ad90edd65e78bb223fc6dea8113662df8
qa14_time-reasoning_test 151420 e3f0b19858ffbec3ed1e49076cc4d1295a89ce146c50318b862f13f202b3caf2
qa15_basic-deduction_train 87688 e856ebfdcce4dd7d617c1d10f985e96a0850c0ca18e9a19a017cb710d135ed3d
qa15_basic-deduction_test 87769 32b77e117fe9acf5f94906684e3b5206de0108e646c76e1da3e022896ec7ee94
qa16_basic-induction_train 281808 a3448f8cbb8ece4d5c48fa3bb5dfc0d2d4ad82b3da50c8c09c5fbe02ea6806b9
qa16_basic-induction_test 285966 d38f01e551f7148eb886b9248264098fe9e0e709fe6fdd1f1186451e1a105838
qa17_positional-reasoning_train 68596 20083bf56ff74f0e7cf5e3e2f8c3905cdb8ef09293c3e8cf7a96ed8b45ae2277
qa17_positional-reasoning_test 68578 9e1e0250ed4ec1831757fab26c04138f81ea557ebf6976a220db879cbed04bac
qa18_size-reasoning_train 104815 18b7dcf52c9a0e87e4e7dd3d65b7e5a630de039645f52a1294197af7481d739d
qa18_size-reasoning_test 103626 d34f70eb7228a276fcb3a7854174fe562c5634f4fb454a39fc3d1ad9934be3ef
qa19_path-finding_train 247496 dcb788352a56effb7bea1449128f31cc9c342c8c327b6df2caeee0e379e6ad3a
qa19_path-finding_test 247449 023e391f0d7f79c9e6ae1c46c093e2d0dbd50ab8fbd8965e037a75e3614c20e5
qa20_agents-motivations_train 67892 29580ad55fb7b4b29ba014696056cc68f8f347dac3be88470fd692ad60150398
qa20_agents-motivations_test 67963 bd3bde3788ac14ba0ae095078f7b820fbd2bfa6a34dba9d1d46a34afde9c2729
"""


def _files() -> dict[tuple[int, str], DataFile]:
    """Returns the file of each task and part ("train", "test")."""
    files = {}
    for stem, size, sha256 in map(str.split, PUBLISHED.strip().splitlines()):
        task, _, part = stem.removeprefix("qa").split("_")
        files[int(task), part] = DataFile.plain(
            "babi", f"tasksv11/en/{stem}.txt", f"{URL}/{stem}.txt", int(size), sha256
        )
    return files


FILES = _files()
TASKS = range(1, 21)

# The book reads the first 1,000 lines of the training file; of the padded ones it learns the first 100.
LINES, PADDED_LINES = 1000, 100


@dataclass(frozen=True)
class Question:
    """A question about a story.

    Attributes:
        story: the facts told before it, in order.
        question: the question, with its question mark.
        answer: a word, or several with commas between them.
        supporting: which of the facts the answer follows from, as places in `story`.
    """

    story: tuple[str, ...]
    question: str
    answer: str
    supporting: tuple[int, ...]


def questions(root: Path, task: int) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Returns the 1,000 questions for training and the 1,000 for testing of a task, 1 to 20.

    Raises:
        ValueError: there is no such task.
        DataError: a file is missing or is not the published one.
    """
    return _questions(_lines(root, task, "train")), _questions(_lines(root, task, "test"))


def _questions(lines: list[str]) -> tuple[Question, ...]:
    found = []
    story: dict[str, str] = {}  # by line number
    for line in lines:
        number, told = line.split(" ", 1)
        if number == "1":
            story = {}
        if "\t" not in told:
            story[number] = told
            continue
        question, answer, supporting = told.split("\t")
        places = {number: place for place, number in enumerate(story)}
        found.append(
            Question(
                tuple(story.values()),
                question.strip(),
                answer,
                tuple(places[number] for number in supporting.split()),
            )
        )
    return tuple(found)


def read_task(root: Path, task: int, padded: bool = False) -> SentenceDataset:
    """Returns a task's lines as the book reads them: in lower case, without their numbers.

    The first 1,000 lines of the training file are for training; of the first 1,000 lines of the test file,
    the first half is for validation and the second for testing. Only spaces divide words: the last word of a
    question has in it the answer and the number of the line it follows from, and the tabs before them. In
    tasks where it follows from several lines, the other numbers are words of their own.

    Args:
        root: the data root.
        task: 1 to 20.
        padded: chapter 13's form. "-" stands in front of the shorter lines, so that all have the same number
            of words, and only the first 100 are for training.

    Raises:
        ValueError: there is no such task.
        DataError: a file is missing or is not the published one.
    """
    train, test = (
        [line.lower().split(" ")[1:] for line in _lines(root, task, part)[:LINES]]
        for part in ("train", "test")
    )
    width = max(map(len, train + test)) if padded else 0

    def sentences(lines: list[list[str]]) -> tuple[str, ...]:
        return tuple(" ".join(["-"] * (width - len(words)) + words) for words in lines)

    half = LINES // 2
    return SentenceDataset(
        name=("babi_padded" if padded else "babi") + (f"/{task}" if task != 1 else ""),
        train=sentences(train[:PADDED_LINES] if padded else train),
        validation=sentences(test[:half]),
        test=sentences(test[half:]),
        padded=padded,
    )


def _lines(root: Path, task: int, part: Literal["train", "test"]) -> list[str]:
    if task not in TASKS:
        raise ValueError(f"babi: task must be from {TASKS[0]} to {TASKS[-1]}, got {task}")
    return FILES[task, part].read(root).decode().splitlines()


def _source(name: str, title: str, about: str, padded: bool) -> Source:
    """Returns the first task as a data set, with all twenty as its tasks."""
    whole = Source(
        name, title, about, SentenceDataset, partial(read_task, task=1, padded=padded), tuple(FILES.values())
    )
    tasks = {
        str(task): replace(
            whole,
            name=f"{name}/{task}",
            read=partial(read_task, task=task, padded=padded),
            files=tuple(FILES[task, part] for part in ("train", "test")),
        )
        for task in TASKS
    }
    return replace(whole, tasks=tasks)


SOURCES = (
    _source(
        "babi",
        "Babi",
        "2,000 sentences of bAbI's first task, as in chapter 12; babi/2 to babi/20 are the others",
        padded=False,
    ),
    _source(
        "babi_padded",
        "PaddedBabi",
        "100 of the sentences to learn, padded to one length, as in chapter 13; babi_padded/2 and so on",
        padded=True,
    ),
)
