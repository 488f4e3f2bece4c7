"""Word vectors by negative sampling: the word that was left out against some that were not."""

from __future__ import annotations

from gdl_numpy.tasks.classification import BinaryClassification


class NegativeSampling(BinaryClassification):
    """A yes-or-no question for each candidate: is it the word that stood in the blank?

    Inputs are what stands around each blank and its candidates, the word itself first and then the words that
    were drawn (Mikolov et al. 2013, *Distributed Representations of Words and Phrases*); targets say which is
    which. The loss is the mean over all candidates, so its scale does not depend on how many are drawn.
    """
