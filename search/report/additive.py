"""An additive model of scores: a smooth curve for each number, a level for each choice.

The weights of each term have a Gaussian prior whose width is fitted to all the data at once
(evidence maximization: MacKay, 1992), so a term that explains nothing shrinks away. How sure a
term is comes from the Bayes factor of the model with it against the one without. Where a config
has no use for a hyperparameter its term is zero: nothing is averaged over configs that cannot be.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.report.evidence import Floats
from search.report.grids import position
from spaces.domains import Choice, Domain, Value

N_KNOTS = 6
"""Of a curve; as smooth as they are, it has three bends at most."""
N_KNOTS_OF_PAIR = 4
REACH = 0.4
"""Share of the values tried within which scores are alike."""
N_ROUNDS = 60
WIDTHS = np.geomspace(0.003, 1.0, 9)
"""Variances that a term may have, as shares of the scores' own."""
NOISE_TRIALS = 3.0
"""So many trials' worth of belief that a quarter of the variance is luck."""

Features = Callable[[Sequence[Value]], Floats]


class Term:
    """One hyperparameter's part of the score, or what two have beyond the sum of theirs.

    Args:
        tried: By hyperparameter, the values of the trials that use all of them.
    """

    def __init__(self, domains: Sequence[Domain], tried: Sequence[Sequence[Value]]) -> None:
        n_knots = N_KNOTS if len(domains) == 1 else N_KNOTS_OF_PAIR
        self._parts = [
            _features(domain, values, n_knots)
            for domain, values in zip(domains, tried, strict=True)
        ]
        self._center = np.zeros(1)
        self._scale = 1.0
        raw = self.at(*tried)
        self._center = raw.mean(axis=0)
        self._scale = float(np.sqrt(np.square(raw - self._center).sum(axis=1).mean())) or 1.0

    def at(self, *values: Sequence[Value]) -> Floats:
        """Columns of the term, (len of values, columns); over the trials their mean is 0."""
        product = np.ones((len(values[0]), 1))
        for features, own in zip(self._parts, values, strict=True):
            product = (product[:, :, None] * features(own)[:, None, :]).reshape(len(own), -1)
        return (product - self._center) / self._scale


@dataclass(frozen=True)
class Weights:
    """What is known of a term's weights.

    Attributes:
        log_odds: Natural logarithm of the Bayes factor for the term.
    """

    mean: Floats
    covariance: Floats
    log_odds: float

    def deviation(self, columns: Floats) -> Floats:
        """Standard deviation of `columns @ weights`."""
        variances: Floats = np.einsum("ij,jk,ik->i", columns, self.covariance, columns)
        deviations: Floats = np.sqrt(variances.clip(0))
        return deviations


class Additive:
    """The model, fitted.

    Args:
        terms: Columns of each, a row a trial, zero where its config has no use for it.
        scores: With mean 0 and variance 1.
    """

    def __init__(self, terms: Sequence[Floats], scores: Floats) -> None:
        ends = np.cumsum([1, *(columns.shape[1] for columns in terms)])
        self._slices = [slice(*pair) for pair in itertools.pairwise(ends)]
        self._matrix = np.concatenate([np.ones((len(scores), 1)), *terms], axis=1)
        self._scores = scores
        self._precision, self._noise = self._fit()
        self._whole = self._posterior(np.arange(self._matrix.shape[1]))

    def weights(self, term: int) -> Weights:
        own = self._slices[term]
        others = np.r_[0 : own.start, own.stop : self._matrix.shape[1]]
        rest = self._matrix[:, others]
        return self._weights(self._matrix[:, own], rest, *self._posterior(others))

    def weights_of_new(self, columns: Floats) -> Weights:
        """Of a term that would be added."""
        return self._weights(columns, self._matrix, *self._whole)

    def level(self, rows: NDArray[np.bool_], without: Sequence[int]) -> float:
        """Mean over the rows of what all but some of the terms add up to."""
        mean = self._whole[0].copy()
        for term in without:
            mean[self._slices[term]] = 0
        return float((self._matrix[rows] @ mean).mean())

    def _fit(self) -> tuple[Floats, float]:
        """Precisions of all weights' priors and the variance of the noise, by their evidence."""
        matrix, scores = self._matrix, self._scores
        gram, projected = matrix.T @ matrix, matrix.T @ scores
        widths = np.full(len(self._slices), 0.1)
        noise = 0.5
        precision = np.full(matrix.shape[1], 1e-2)
        for _ in range(N_ROUNDS):
            for own, width in zip(self._slices, widths, strict=True):
                precision[own] = 1 / width
            covariance = np.linalg.inv(gram / noise + np.diag(precision))
            mean = covariance @ projected / noise
            explained = 1 - precision * np.diag(covariance)
            for term, own in enumerate(self._slices):
                # One more in the denominator: a mild belief that most terms are small.
                width = np.square(mean[own]).sum() / (explained[own].sum() + 1)
                widths[term] = np.clip(width, 1e-6, 10)
            rest = np.square(scores - matrix @ mean).sum() + NOISE_TRIALS / 4
            noise = rest / (max(len(scores) - explained.sum(), 0) + NOISE_TRIALS)
        return precision, float(noise)

    def _posterior(self, others: NDArray[np.int_]) -> tuple[Floats, Floats]:
        """Mean and covariance of the weights of `others`, in a model of them alone."""
        rest = self._matrix[:, others]
        covariance = np.linalg.inv(rest.T @ rest / self._noise + np.diag(self._precision[others]))
        return covariance @ rest.T @ self._scores / self._noise, covariance

    def _weights(self, columns: Floats, rest: Floats, mean: Floats, covariance: Floats) -> Weights:
        """Averaged over the `WIDTHS`, so that a term that shrank away is not held for certain.

        Args:
            rest: Columns of the other terms, with `mean` and `covariance` of their weights.
        """
        noise = self._noise
        cross = columns.T @ rest / noise
        information = columns.T @ columns / noise - cross @ covariance @ cross.T
        pull = columns.T @ (self._scores - rest @ mean) / noise
        values, vectors = np.linalg.eigh((information + information.T) / 2)
        values, pull = values.clip(0), vectors.T @ pull
        # A row a width, a column an eigenvector.
        variances = WIDTHS[:, None] / (1 + WIDTHS[:, None] * values)
        means = variances * pull
        gains = (np.square(pull) * variances - np.log1p(WIDTHS[:, None] * values)).sum(axis=1) / 2
        shares = np.exp(gains - gains.max())
        log_odds = float(gains.max() + np.log(shares.mean()))
        shares /= shares.sum()
        center = shares @ means
        apart = means - center
        spread = np.diag(shares @ variances) + (apart * shares[:, None]).T @ apart
        return Weights(vectors @ center, vectors @ spread @ vectors.T, log_odds)


def _features(domain: Domain, tried: Sequence[Value], n_knots: int) -> Features:
    """Numbers of mean 0 over what was tried, in which a value's effect is linear."""
    if isinstance(domain, Choice):
        known = [value for value in domain.values if value in tried]

        def raw(values: Sequence[Value]) -> Floats:
            return np.array([[float(value == own) for own in known] for value in values])

    else:
        places = sorted({position(domain, value) for value in tried})
        knots = np.linspace(places[0], places[-1], min(n_knots, len(places)))
        reach = REACH * (places[-1] - places[0]) or 1.0
        values, vectors = np.linalg.eigh(_alike(knots, knots, reach))
        whitened = vectors / np.sqrt(values.clip(1e-4))

        def raw(values: Sequence[Value]) -> Floats:
            own = np.array([position(domain, value) for value in values])
            columns: Floats = _alike(own, knots, reach) @ whitened
            return columns

    center = raw(tried).mean(axis=0)
    return lambda values: raw(values) - center


def _alike(one: Floats, other: Floats, reach: float) -> Floats:
    """How much the scores at two places have in common: a Gaussian of their distance."""
    distances = (one[:, None] - other[None, :]) / reach
    alike: Floats = np.exp(-0.5 * np.square(distances))
    return alike
