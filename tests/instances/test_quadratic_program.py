import numpy as np
import pytest
from scipy.optimize import minimize

from tl_keras.instances.quadratic_program import DenseGram, LowRankGram, box_program


def problem(seed, count=12, rank=12):
    random = np.random.default_rng(seed)
    root = random.normal(size=(count, rank))
    return root, root @ root.T / rank, random.normal(size=count) * count


def best_of_scipy(matrix, linear, upper, low, high):
    count = len(linear)
    found = minimize(
        lambda b: b @ matrix @ b / 2 - linear @ b,
        np.full(count, low / count + 1e-3),
        jac=lambda b: matrix @ b - linear,
        bounds=[(0.0, upper)] * count,
        constraints=[
            {"type": "ineq", "fun": lambda b: b.sum() - low, "jac": lambda b: np.ones(count)},
            {"type": "ineq", "fun": lambda b: high - b.sum(), "jac": lambda b: -np.ones(count)},
        ],
        method="SLSQP",
        options={"ftol": 1e-10, "maxiter": 1000},
    )
    assert found.success and low - 1e-9 <= found.x.sum() <= high + 1e-9
    return found


def gap(matrix, linear, upper, low, high, weights):
    """How much lower the objective can be at the most: its slope towards the best vertex."""
    slope = matrix @ weights - linear
    order = np.argsort(slope)
    vertex = np.zeros(len(linear))
    room = high
    for index in order:
        # Beyond `low` only what lowers the objective is taken.
        least = max(0.0, low - vertex.sum())
        take = min(upper, room if slope[index] < 0 else least)
        vertex[index] = take
        room -= take
    return slope @ (weights - vertex)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("upper", "low", "high"),
    [(1000.0, 1.0, 23.0), (2.0, 11.0, 13.0), (1000.0, 12.0, 12.0), (1.5, 0.0, 12.0)],
)
def test_reaches_the_optimum_that_scipy_finds(seed, upper, low, high):
    _, matrix, linear = problem(seed)
    found = box_program(DenseGram(matrix), linear, upper, low, high)
    wanted = best_of_scipy(matrix, linear, upper, low, high)
    assert found.converged
    assert (found.weights >= 0).all() and (found.weights <= upper).all()
    assert low - 1e-6 <= found.weights.sum() <= high + 1e-6
    assert found.objective == pytest.approx(
        found.weights @ matrix @ found.weights / 2 - linear @ found.weights
    )
    assert abs(found.objective - wanted.fun) <= 1e-6 * abs(wanted.fun)
    np.testing.assert_allclose(found.weights, wanted.x, atol=2e-3 * max(1.0, wanted.x.max()))


@pytest.mark.parametrize("rank", [1, 5, 80])
@pytest.mark.parametrize("limits", [(1000.0, 4.0, 156.0), (3.0, 78.0, 82.0), (3.0, 80.0, 80.0)])
def test_is_optimal_for_singular_matrices_too(rank, limits):
    for seed in range(5):
        root, matrix, linear = problem(seed, 80, rank)
        root[40:] = root[:40]
        matrix = root @ root.T
        linear[40:] = linear[:40]
        found = box_program(DenseGram(matrix), linear, *limits)
        assert found.converged
        assert gap(matrix, linear, *limits, found.weights) <= 1e-6 * abs(found.objective)


@pytest.mark.parametrize("seed", range(3))
def test_a_low_rank_matrix_has_the_solution_of_the_dense_one(seed):
    random = np.random.default_rng(seed)
    features, linear = random.normal(size=(60, 7)), random.normal(size=60) * 60
    diagonal = random.uniform(1e-3, 1.0, 60)
    limits = (30.0, 54.0, 66.0)
    low_rank = box_program(LowRankGram(features, diagonal), linear, *limits)
    dense = box_program(DenseGram(features @ features.T + np.diag(diagonal)), linear, *limits)
    assert low_rank.converged
    assert low_rank.objective == pytest.approx(dense.objective, rel=1e-7)
    np.testing.assert_allclose(low_rank.weights, dense.weights, atol=1e-3)


@pytest.mark.parametrize("added", [1e-8, 1.0, 1e8])
def test_the_grams_solve_what_they_multiply(added):
    random = np.random.default_rng(0)
    features, diagonal = random.normal(size=(30, 4)), random.uniform(0.1, 1.0, 30)
    for gram in (
        LowRankGram(features, diagonal),
        DenseGram(features @ features.T + np.diag(diagonal)),
    ):
        solve = gram.solver(np.full(30, added))
        for right in random.normal(size=(2, 30)):
            answer = solve(right)
            back = gram.product(answer) + added * answer
            np.testing.assert_allclose(back, right, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("added", "digits"), [(1.0, 1e-4), (1e-6, 0.0), (1e-12, 0.0)])
def test_a_rough_solution_is_near_the_precise_one_or_the_same(added, digits):
    random = np.random.default_rng(0)
    features = random.normal(size=(30, 29))
    gram = DenseGram(features @ features.T)  # Singular but for what is added.
    right = random.normal(size=30)
    rough, precise = (gram.solver(np.full(30, added), rough=one)(right) for one in (True, False))
    assert np.linalg.norm(rough - precise) <= digits * np.linalg.norm(precise)


def test_the_zero_matrix_leaves_the_weights_free():
    found = box_program(DenseGram(np.zeros((5, 5))), np.zeros(5), 10.0, 4.0, 6.0)
    assert found.converged
    assert 4.0 - 1e-6 <= found.weights.sum() <= 6.0 + 1e-6


def test_steps_hardly_depend_on_conditioning():
    steps = []
    for spread in (0, 4, 8):
        random = np.random.default_rng(1)
        basis, _ = np.linalg.qr(random.normal(size=(60, 60)))
        matrix = basis * np.logspace(0, -spread, 60) @ basis.T
        steps.append(
            box_program(
                DenseGram((matrix + matrix.T) / 2), random.normal(size=60), 5.0, 54.0, 66.0
            ).steps
        )
    assert max(steps) <= 25
