"""Kernel mean matching: source weights under which the kernel means of both domains agree."""

import warnings
from typing import Any, ClassVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.extmath import row_norms

from tl_keras.arrays.base import DomainWeighter
from tl_keras.arrays.checks import check_count, is_number
from tl_keras.arrays.kernels import (
    NystroemFeatures,
    choose_landmarks,
    kernel_matrix,
    resolve_gamma,
)
from tl_keras.instances.pooled import stacked
from tl_keras.instances.quadratic_program import DenseGram, LowRankGram, Solution, box_program
from tl_keras.utils.errors import InputError
from tl_keras.utils.memory import check_memory

EXACT_SAMPLES = 2000
BATCH = 4096
LEAST_DIAGONAL = 1e-6
# The approximation of the kernel matters more than the last digits of its optimum.
TOLERANCES = {"exact": 1e-8, "nystroem": 1e-6}


class KernelMeanMatching(DomainWeighter):
    """Weights that bring the source's mean in kernel space to the target's.

    Use it for covariate shift, when source and target differ in how often which samples occur but
    not in what they mean. It needs no labels and no density.

    With source samples `x`, target samples `t` and a kernel `k` it solves

        min ½ βᵀKβ − κᵀβ   subject to   0 ≤ βᵢ ≤ B,  |mean β − 1| ≤ ε
        Kᵢⱼ = k(xᵢ, xⱼ),   κᵢ = n_source · meanⱼ k(xᵢ, tⱼ)

    by a primal-dual interior-point method. `weights_` is β scaled to mean one.

    Several source domains are pooled, and so are several target domains.

    The approximate solver takes features `Φ` from landmarks, half of them source and half target
    samples, and `K ≈ ΦΦᵀ + D`, where the diagonal `D` makes the diagonal of `K` exact. Its time
    and memory grow with the number of samples, not with its square.

    Args:
        target: Label of the target domain, or a list of labels.
        kernel: `"rbf"`, `"laplacian"`, `"linear"`, `"polynomial"` or `"cosine"`.
        gamma: Width of the kernel: `"median"`, one over the median squared distance between
            samples; `"scale"`, one over features times variance; or a number above 0.
        bound: `B`, above 1. Small values make the weights more even.
        epsilon: `ε`, 0 or more; None: `(√n_source − 1) / √n_source`, as in the paper.
        solver: `"exact"`, with all kernel values between source samples; `"nystroem"`, the
            approximate one; `"auto"`: exact up to 2,000 source samples.
        landmarks: Number of landmarks of the approximate solver, 2 or more. Time grows with its
            square.
        random_state: Seed of the choice of landmarks and of samples for the median.

    Attributes:
        weights_: `(n,)`: of source samples the weight, with mean one; of target samples one.
        effective_sample_size_: `(Σw)² / Σw²` over the source samples.
        gamma_: The width that was used.
        objective_: `½ βᵀKβ − κᵀβ` of the solution, with the approximate `K` and `κ` if those were
            used.
        solver_: `"exact"` or `"nystroem"`.
        n_iter_: Steps of the interior-point method.

    Raises:
        InputError: If a parameter does not fit, or the kernel values need more memory than there
            is.

    Example:
        >>> import numpy as np
        >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [1.9], [2.1], [2.2]])
        >>> domain = ["source"] * 4 + ["target"] * 3
        >>> model = KernelMeanMatching(gamma=1.0, bound=2.5, epsilon=0.0)
        >>> model.fit(X, domain=domain).weights_[:4].argmax().item()
        2

    ADAPT's `KMM` solves for batches of at most 1,000 source samples one after the other, each as
    if it were the whole source. This class solves for all of them at once.

    Paper: Huang, Smola, Gretton, Borgwardt and Schölkopf, Correcting Sample Selection Bias by
    Unlabeled Data, NIPS 2006.
    """

    _sparse: ClassVar[bool] = True

    def __init__(
        self,
        target: Any = "target",
        *,
        kernel: str = "rbf",
        gamma: Any = "median",
        bound: float = 1000.0,
        epsilon: float | None = None,
        solver: str = "auto",
        landmarks: int = 400,
        random_state: Any = None,
    ):
        self.target = target
        self.kernel = kernel
        self.gamma = gamma
        self.bound = bound
        self.epsilon = epsilon
        self.solver = solver
        self.landmarks = landmarks
        self.random_state = random_state

    def _estimate(self, source: Any, target: Any) -> np.ndarray:
        count = source.shape[0]
        random = check_random_state(self.random_state)
        solver, epsilon = self._checked(count)
        gamma = resolve_gamma(self.gamma, stacked(source, target), random)
        if solver == "exact":
            gram, linear = exact_kernels(source, target, self.kernel, gamma)
        else:
            half = (self.landmarks + 1) // 2
            landmarks = stacked(
                *(choose_landmarks(side, half, random) for side in (source, target))
            )
            gram, linear = nystroem_kernels(source, target, landmarks, self.kernel, gamma)
        solution = match_means(gram, linear, self.bound, epsilon, TOLERANCES[solver])
        if not solution.converged:
            warnings.warn(
                f"KernelMeanMatching: the weights did not converge in {solution.steps} steps. "
                "Scale the features, for instance with StandardScaler.",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.gamma_, self.solver_ = gamma, solver
        self.objective_, self.n_iter_ = solution.objective, solution.steps
        return solution.weights

    def _checked(self, count: int) -> tuple[str, float]:
        if not is_number(self.bound, 1, above=True):
            raise InputError(
                f"bound: expected a number above 1, the mean of the weights, got {self.bound!r}."
            )
        epsilon = self.epsilon
        if epsilon is None:
            epsilon = 1.0 - 1.0 / np.sqrt(count)
        elif not is_number(epsilon, 0):
            raise InputError(f"epsilon: expected None or a number from 0 up, got {epsilon!r}.")
        if self.solver not in ("auto", "exact", "nystroem"):
            raise InputError(
                f"solver: expected 'auto', 'exact' or 'nystroem', got {self.solver!r}."
            )
        check_count("landmarks", self.landmarks, 2)
        if self.solver != "auto":
            return self.solver, float(epsilon)
        return "exact" if count <= EXACT_SAMPLES else "nystroem", float(epsilon)


def match_means(
    gram: DenseGram | LowRankGram,
    linear: np.ndarray,
    bound: float,
    epsilon: float,
    tolerance: float = 1e-8,
) -> Solution:
    """Return the weights `β` that minimise `½ βᵀKβ − κᵀβ` with `0 ≤ β ≤ B`, `|mean β − 1| ≤ ε`.

    Args:
        gram: `K`, of `n` source samples.
        linear: `κ` `(n,)`.
        bound: `B`, above 1.
        epsilon: `ε`, from 0 up.
        tolerance: Duality gap relative to the objective.
    """
    count = len(linear)
    return box_program(
        gram, linear, bound, count * max(0.0, 1.0 - epsilon), count * (1.0 + epsilon), tolerance
    )


def exact_kernels(
    source: Any, target: Any, kernel: str, gamma: float
) -> tuple[DenseGram, np.ndarray]:
    """Return `K` of the source samples and `κ` `(n_source,)`.

    Raises:
        InputError: If `K` needs more memory than there is.
    """
    count = source.shape[0]
    check_memory(
        8.0 * count * (3 * count + 2 * min(BATCH, target.shape[0])),
        "KernelMeanMatching(solver='exact')",
        "Use solver='nystroem', whose memory grows with the number of samples only.",
    )
    total = np.zeros(count)
    for start in range(0, target.shape[0], BATCH):
        total += kernel_matrix(source, target[start : start + BATCH], kernel, gamma).sum(axis=1)
    gram = DenseGram(kernel_matrix(source, source, kernel, gamma))
    return gram, total * (count / target.shape[0])


def nystroem_kernels(
    source: Any, target: Any, landmarks: Any, kernel: str, gamma: float
) -> tuple[LowRankGram, np.ndarray]:
    """Return `K ≈ ΦΦᵀ + D` of the source samples and `κ ≈ n_source Φ mean(Φ_target)`.

    Args:
        source: `(n_source, features)`.
        target: `(n_target, features)`.
        landmarks: `(m, features)`.
        kernel: Name of the kernel.
        gamma: Its width.

    Raises:
        InputError: If `Φ` needs more memory than there is.
    """
    count, rank = source.shape[0], landmarks.shape[0]
    check_memory(
        8.0 * count * 3 * rank,
        "KernelMeanMatching(solver='nystroem')",
        "Use fewer landmarks.",
    )
    features = NystroemFeatures(landmarks, kernel, gamma)
    total = 0.0
    for start in range(0, target.shape[0], BATCH):
        total = total + features(target[start : start + BATCH]).sum(axis=0)
    mapped = features(source)
    diagonal = kernel_diagonal(source, kernel, gamma)
    missing = diagonal - np.einsum("ij,ij->i", mapped, mapped)
    gram = LowRankGram(mapped, np.maximum(missing, LEAST_DIAGONAL * diagonal.mean()))
    return gram, mapped @ (total * (count / target.shape[0]))


def kernel_diagonal(X: Any, kernel: str, gamma: float) -> np.ndarray:
    """Return `k(x, x)` `(n,)` of each sample."""
    if kernel in ("rbf", "laplacian"):
        return np.ones(X.shape[0])
    squares = row_norms(X, squared=True).astype(np.float64)
    if kernel == "cosine":
        return (squares > 0).astype(np.float64)
    return squares if kernel == "linear" else (gamma * squares + 1.0) ** 3
