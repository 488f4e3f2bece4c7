"""The linear probe: how much of what was never asked for can be read off features by a straight line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.messages import counted

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Int64

MAX_ITER = 1000


def known_labels(text: str) -> dict[str, float | int]:
    """How many labels may be known, by how it was said: `10%,1%,100`. `labelled_subset` takes each of them.

    Raises:
        ValueError: something else was said.
    """
    known: dict[str, float | int] = {}
    for part in text.split(","):
        try:
            known[part] = float(part[:-1]) / 100 if part.endswith("%") else int(part)
        except ValueError:
            raise ValueError(f"--labels expects the likes of 10%,1%,100; got {part!r}") from None
    return known


def labelled_subset(
    labels: Int[np.ndarray, " examples"], known: float | int, rng: np.random.Generator | int | None = None
) -> Int64[np.ndarray, " some"]:
    """Draws the examples whose labels may be known.

    Args:
        labels: class ids.
        known: a float, above 0 and at most 1, for that fraction of each class, rounded; or an int, for so
            many labels in all, as many of one class as of another (or one more of the first classes).
        rng: for the draw.

    Returns:
        positions in labels, in order.

    Raises:
        ValueError: fractions outside (0, 1], more labels than there are, or so few that a class has none.
    """
    if isinstance(known, float) and not 0 < known <= 1:
        raise ValueError(f"the fraction of labels must be above 0 and at most 1, got {known}")
    rng = np.random.default_rng(rng)
    classes, sizes = np.unique(labels, return_counts=True)
    if isinstance(known, float):
        counts = np.rint(known * sizes).astype(int)
    else:
        counts = known // max(1, len(classes)) + (np.arange(len(classes)) < known % max(1, len(classes)))
    drawn = []
    for label, size, count in zip(classes, sizes, counts, strict=True):
        if not 0 < count <= size:
            asked = f"{known:.4g} of the" if isinstance(known, float) else f"{known:,}"
            raise ValueError(
                f"{asked} labels would be {counted(int(count), 'example')} of class {label}, which has "
                f"{size:,}: take {'more' if count < 1 else 'fewer'}"
            )
        drawn.append(rng.choice(np.flatnonzero(labels == label), count, replace=False))
    return np.sort(np.concatenate(drawn)) if drawn else np.empty(0, np.int64)


def probe_accuracy(
    features: Float[np.ndarray, "examples features"],
    labels: Int[np.ndarray, " labels"],
    test_features: Float[np.ndarray, "tested features"],
    test_labels: Int[np.ndarray, " test_labels"],
) -> float:
    """How often a linear probe of frozen features is right.

    Args:
        features: of the examples whose labels are known.
        labels: class ids.
        test_features: of those to find the labels of.
        test_labels: what they should be.

    Raises:
        ValueError: labels of a single class, not one label for each example, features that are not finite,
            or tested features of another size.
    """
    classes = check_labels(features, labels)
    check_labels(test_features, test_labels, least=1)
    if features.shape[1:] != test_features.shape[1:]:
        raise ValueError(
            f"expected features and test_features of one size, got {features.shape} and {test_features.shape}"
        )
    weight, bias = linear_probe(features, labels)
    return float(np.mean(classes[(test_features @ weight.T + bias).argmax(axis=1)] == test_labels))


def linear_probe(
    features: Float[np.ndarray, "examples features"], labels: Int[np.ndarray, " labels"]
) -> tuple[Float[np.ndarray, "classes features"], Float[np.ndarray, " classes"]]:
    """Fits logistic regression to standardised features.

    Args:
        features: of the examples whose labels are known.
        labels: class ids.

    Returns:
        weight and bias of the layer that gives a logit for each class there is, of features as they come.

    Raises:
        ValueError: labels of a single class, not one label for each example, or features that are not finite.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    check_labels(features, labels)
    scaler = StandardScaler().fit(features)
    fitted = LogisticRegression(max_iter=MAX_ITER).fit(scaler.transform(features), labels)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(bias) == 1:  # two classes, of which the first has the logit 0
        weight, bias = np.pad(weight, ((1, 0), (0, 0))), np.pad(bias, (1, 0))
    # W (x − mean) / scale + b = (W / scale) x + (b − (W / scale) mean)
    weight = weight / scaler.scale_
    bias = bias - weight @ scaler.mean_
    return weight.astype(features.dtype), bias.astype(features.dtype)


def check_labels(
    points: Float[np.ndarray, "examples size"], labels: Int[np.ndarray, " labels"], least: int = 2
) -> Int[np.ndarray, " classes"]:
    """Returns the classes that labels are of.

    Raises:
        ValueError: there are fewer than `least`, not one label for each point, or points that are not finite.
    """
    if len(points) != len(labels):
        raise ValueError(
            f"expected one label for each of {counted(len(points), 'example')}, got {len(labels)}"
        )
    if not np.isfinite(points).all():
        wrong = points[~np.isfinite(points)][0]
        raise ValueError(f"expected features that are finite, got {wrong}: did the training diverge?")
    classes = np.unique(labels)
    if len(classes) < least:
        found = f"only {classes[0]}" if len(classes) else "none"
        raise ValueError(
            f"expected labels of at least {least} classes, got {found}: there is nothing to tell"
        )
    return classes
