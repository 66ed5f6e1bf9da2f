"""Olofsson 2014: the published example, hand oracles, laws, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyses.landcover.accuracy import area_adjusted, error_matrix, kappa, sample_size
from spatial.errors import InvalidParameter, QualityViolation

COUNTS = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
HECTARES = PIXELS * 0.09


def test_the_published_example() -> None:
    found = area_adjusted(COUNTS, HECTARES)
    assert (round(found.overall, 3), round(found.z * found.se_overall, 3)) == (0.947, 0.018)
    assert found.users.round(2).tolist() == [0.88, 0.73, 0.93, 0.96]
    assert found.producers.round(2).tolist() == [0.75, 0.85, 0.93, 0.96]
    assert found.area.round().tolist() == [21158, 11686, 285770, 581386]
    assert (found.z * found.se_area).round().tolist() == [6158, 3756, 15510, 16282]
    # Pixel counting says 13,500 ha of class 2; the estimate is 11,686 ± 3,756.
    assert found.mapped[1] == 13_500


def test_two_classes_by_hand() -> None:
    # W = 0.8, 0.2; of 10 units of class 1, 9 are right; of 5 of class 2, 4.
    found = area_adjusted([[9, 1], [1, 4]], [80.0, 20.0], z=2)
    assert found.overall == pytest.approx(0.8 * 0.9 + 0.2 * 0.8)
    assert found.area.tolist() == pytest.approx([100 * (0.8 * 0.9 + 0.2 * 0.2), 100 * (0.8 * 0.1 + 0.2 * 0.8)])
    variance = 0.8**2 * 0.9 * 0.1 / 9 + 0.2**2 * 0.8 * 0.2 / 4
    assert found.se_overall == pytest.approx(variance**0.5)
    assert found.se_area.tolist() == pytest.approx([100 * variance**0.5] * 2)
    p = 0.72 / 0.76
    own = 80**2 * (1 - p) ** 2 * 0.9 * 0.1 / 9
    other = p**2 * 20**2 * 0.2 * 0.8 / 4
    assert found.se_producers[0] == pytest.approx((own + other) ** 0.5 / 76)
    row = found.rows([1, 12])[1]
    assert (row["class"], row["users_accuracy_ci"]) == (12, pytest.approx(2 * (0.8 * 0.2 / 4) ** 0.5))


matrices = st.integers(2, 5).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.integers(1, 60), min_size=n, max_size=n), min_size=n, max_size=n),
        st.lists(st.floats(1, 1e6), min_size=n, max_size=n),
    )
)


@given(matrices)
def test_laws(case: tuple[list[list[int]], list[float]]) -> None:
    counts, areas = case
    found = area_adjusted(counts, areas)
    assert found.area.sum() == pytest.approx(sum(areas))
    assert 0 <= found.overall <= 1
    # The unit of the areas changes areas only.
    other = area_adjusted(counts, np.array(areas) * 15)
    assert other.overall == pytest.approx(found.overall)
    assert other.se_area == pytest.approx(found.se_area * 15)
    # A larger sample with the same shares narrows every interval.
    larger = area_adjusted(np.array(counts) * 4, areas)
    assert larger.area == pytest.approx(found.area)
    assert larger.se_overall <= found.se_overall + 1e-12


def test_a_perfect_sample_has_no_interval() -> None:
    found = area_adjusted([[50, 0], [0, 50]], [7.0, 3.0])
    assert (found.overall, found.se_overall) == (1, 0)
    assert found.area.tolist() == [7, 3]


def test_a_class_that_is_not_on_the_map() -> None:
    found = area_adjusted([[40, 10], [0, 0]], [10.0, 0.0])
    assert found.area.tolist() == [8, 2]
    row = found.rows([1, 2])[1]
    assert row["users_accuracy"] is None
    assert row["producers_accuracy"] == 0


@pytest.mark.parametrize(
    ("counts", "areas", "error"),
    [
        ([[1, 2, 3], [1, 2, 3]], [1, 2], InvalidParameter),
        ([[5, 1], [1, 5]], [1, 2, 3], InvalidParameter),
        ([[5, 1], [1, 5]], [-1, 2], InvalidParameter),
        ([[5, 1], [1, 5]], [0, 0], InvalidParameter),
        ([[5, 1], [1, 5]], [np.nan, 2], InvalidParameter),
        ([[5, -1], [1, 5]], [1, 2], InvalidParameter),
        ([[5, 1], [0, 1]], [1, 2], QualityViolation),
        ([[5, 1], [0, 0]], [1, 2], QualityViolation),
    ],
)
def test_bad_input(counts: object, areas: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        area_adjusted(counts, areas)


def test_bad_z() -> None:
    with pytest.raises(InvalidParameter, match="z"):
        area_adjusted(COUNTS, HECTARES, z=0)


def test_error_matrix_and_kappa() -> None:
    assert error_matrix([12, 1, 1, 12], [12, 12, 1, 12], [12, 1]).tolist() == [[2, 0], [1, 1]]
    with pytest.raises(QualityViolation, match=r"\[9\]"):
        error_matrix([1, 9], [1, 1], [1, 2])
    with pytest.raises(InvalidParameter):
        error_matrix([1, 1], [1], [1])
    assert kappa([[45, 15], [25, 15]]) == pytest.approx(0.1304, abs=1e-4)
    assert np.isnan(kappa([[5, 0], [0, 0]]))


def test_sample_size_of_the_published_example() -> None:
    weights, users = [0.02, 0.015, 0.32, 0.645], [0.7, 0.6, 0.9, 0.95]
    assert sample_size(weights, users, standard_error=0.01, least=0).sum() == 641
    with_least = sample_size(weights, users, standard_error=0.01, least=75)
    assert with_least[:2].tolist() == [75, 75]
    assert sample_size([1, 0], [0.5, 0.5], standard_error=0.1).tolist() == [50, 0]


@pytest.mark.parametrize(
    ("areas", "users", "error"), [([1], [95], 0.01), ([1, 2], [0.9], 0.01), ([0], [0.9], 0.01), ([1], [0.9], 0)]
)
def test_sample_size_refuses(areas: list[float], users: list[float], error: float) -> None:
    with pytest.raises(InvalidParameter):
        sample_size(areas, users, standard_error=error)
