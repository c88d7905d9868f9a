"""The quadratic over the positive semidefinite cone, and the cone's faces."""

import numpy as np
import pytest

from twostage.stats.mixed.criterion import congruence, to_matrix, to_vector
from twostage.stats.mixed.optimiser import ConePoint, face_at, minimise_quadratic, move_along

# Stationarity of the subproblem, relative to the gradient at its start.
STATIONARY = 1e-9


def random_problem(seed):
    """Centre, gradient and curvature; the condition of the curvature runs to a thousand."""
    rng = np.random.default_rng(seed)
    q = 1 + seed % 4
    m = q * (q + 1) // 2
    turn, _ = np.linalg.qr(rng.normal(size=(m, m)))
    H = (turn * 10 ** rng.uniform(0, 3, m)) @ turn.T
    factor = rng.normal(size=(q, q)) * (rng.random(q) < 0.7)
    return factor @ factor.T, rng.normal(size=m) * 10 ** rng.uniform(-1, 3), H, q


@pytest.mark.parametrize("seed", range(60))
def test_minimiser_meets_the_optimality_conditions(seed):
    centre, g, H, q = random_problem(seed)
    point = minimise_quadratic(centre, g, H, np.eye(q))
    slope = to_matrix(g + H @ to_vector(point.matrix - centre), q)
    size = np.linalg.norm(g) + np.linalg.norm(H @ to_vector(centre))
    assert np.linalg.eigvalsh(slope)[0] >= -STATIONARY * size
    largest = 1 + np.linalg.norm(point.factor)
    assert np.abs(slope @ point.factor).max(initial=0) <= STATIONARY * size * largest
    np.testing.assert_allclose(point.factor @ point.factor.T, point.matrix, atol=1e-12 * largest**2)


def test_with_unit_curvature_it_is_the_projection():
    """Nearest positive semidefinite matrix to diag(2, -1) turned by 30 degrees: the negative part goes."""
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    turn = np.array([[c, -s], [s, c]])
    target = turn @ np.diag([2.0, -1.0]) @ turn.T
    point = minimise_quadratic(np.zeros((2, 2)), -to_vector(target), np.eye(3), np.eye(2))
    assert point.rank == 1
    np.testing.assert_allclose(point.matrix, turn @ np.diag([2.0, 0.0]) @ turn.T, atol=1e-12)


def test_the_metric_changes_the_way_not_the_answer():
    centre, g, H, q = random_problem(7)
    metric = np.diag(10.0 ** np.arange(q)) + 0.1
    one, other = (minimise_quadratic(centre, g, H, m).matrix for m in (np.eye(q), metric))
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8 * np.abs(one).max())


def test_coordinates_keep_inner_products():
    rng = np.random.default_rng(0)
    A, B, K = rng.normal(size=(3, 3, 3))
    A, B = A + A.T, B + B.T
    assert to_vector(A) @ to_vector(B) == pytest.approx(np.trace(A @ B), rel=1e-12)
    np.testing.assert_allclose(to_matrix(to_vector(A), 3), A, atol=1e-14)
    np.testing.assert_allclose(congruence(K) @ to_vector(A), to_vector(K @ A @ K.T), atol=1e-12)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_face_has_the_dimension_of_its_rank(rank):
    factor = np.random.default_rng(rank).normal(size=(3, rank))
    face = face_at(ConePoint(factor @ factor.T, factor))
    assert len(face.moves) == rank * (rank + 1) // 2 + rank * (3 - rank)
    assert np.linalg.matrix_rank(face.coordinates) == len(face.moves) if rank else len(face.moves) == 0


def test_face_hessian_is_the_second_derivative_along_the_face():
    """D(T) = tr(Y T) + tr(T^2) / 2 - tr(T0 T) at its minimum T0 on the face: differences along moving
    factors."""
    rng = np.random.default_rng(2)
    factor = rng.normal(size=(3, 2))
    point = ConePoint(factor @ factor.T, factor)
    normal = np.linalg.qr(factor, mode="complete")[0][:, 2:]
    Y = 3.0 * normal @ normal.T
    gradient, face = to_vector(Y), face_at(point)

    def value(amounts):
        moved = move_along(point, face, amounts).matrix
        away = moved - point.matrix
        return np.trace(Y @ moved) + 0.5 * np.sum(away**2)

    hessian = face.hessian(gradient, np.eye(6))
    step = 1e-4
    for direction in rng.normal(size=(4, len(face.moves))):
        up, down = value(step * direction), value(-step * direction)
        assert (up + down - 2 * value(0 * direction)) / step**2 == pytest.approx(
            direction @ hessian @ direction, rel=1e-5
        )


def test_smallest_spread_of_a_point():
    factor = np.array([[2.0, 0.0], [1.0, 3.0]])
    point = ConePoint(factor @ factor.T, factor)
    assert point.least == pytest.approx(np.sqrt(np.linalg.eigvalsh(point.matrix)[0]), rel=1e-10)
    assert ConePoint(np.diag([4.0, 0.0]), np.array([[2.0], [0.0]])).least == 0.0
    assert ConePoint(np.array([[9.0]]), np.array([[3.0]])).least == 3.0
