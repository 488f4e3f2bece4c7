"""Names that people type: in any case, abbreviated, and if misspelt answered with the right one."""

from __future__ import annotations

import pytest

from gdl_numpy import data
from gdl_numpy.lookup import lookup
from gdl_numpy.models import MLP, MODELS


@pytest.mark.parametrize("name", ["MLP", "mlp", "Mlp"])
def test_lookup_ignores_case(name: str) -> None:
    assert lookup("model", name, {"CNN": 1, "MLP": 2}) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MPL", "unknown model 'MPL': did you mean 'MLP'? (known: CNN, MLP)"),
        ("cmn", "unknown model 'cmn': did you mean 'CNN'? (known: CNN, MLP)"),
        ("", "unknown model '' (known: CNN, MLP)"),
        ("perceptron", "unknown model 'perceptron' (known: CNN, MLP)"),
    ],
)
def test_lookup_offers_the_nearest_name(name: str, message: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 (the message is compared in full)
        lookup("model", name, {"MLP": 1, "CNN": 2})
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("name", "meant"),
    [("lstm", "LSTMLanguageModel"), ("RNN", "RNNLanguageModel"), ("cn", "CNN"), ("mlp", "MLP")],
)
def test_the_beginning_of_a_models_name_will_do(name: str, meant: str) -> None:
    assert lookup("model", name, MODELS) is MODELS[meant]


def test_a_name_may_be_the_beginning_of_another() -> None:
    assert lookup("model", "rnn", {"RNNLanguageModel": 1, "RNN": 2}) == 2


def test_what_checkpoints_keep_is_not_shortened() -> None:
    with pytest.raises(ValueError, match="unknown activation 'rel': did you mean 'relu'"):
        MLP(activation="rel")


def test_a_beginning_of_several_names_asks_which_is_meant() -> None:
    with pytest.raises(ValueError, match="did you mean 'SentimentClassifier' or 'SentenceOrder'"):
        lookup("model", "sent", MODELS)


def test_an_unknown_data_set_is_refused_with_the_nearest_name() -> None:
    for ask in (data.load, data.fetch, data.available):
        with pytest.raises(ValueError, match="unknown data set 'digit': did you mean 'digits'"):
            ask("digit")


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="unknown model 'MPL': did you mean 'MLP'"):
        lookup("model", "MPL", MODELS)
