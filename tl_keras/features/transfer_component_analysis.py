"""Transfer component analysis."""

from typing import Any

from tl_keras.features.component_transformer import ComponentTransformer
from tl_keras.features.domain_pairs import pairs_of_domains


class TransferComponentAnalysis(ComponentTransformer):
    """Components of a kernel in which the domains have similar means and samples still vary.

    For covariate shift when labels of the target are not available: a classifier is trained on
    the components of the labelled sources. Labels are not used. With

        W = argmax tr((Wᵀ(KLK + ρI)W)⁻¹ WᵀKHKW)

    samples are mapped to `k(x, X) W`, where `K` is the kernel of all samples, `L` takes the
    squared distance between the domains' means, `H` centres and `ρ` keeps `W` small. The leading
    eigenvectors of `(KLK + ρI)⁻¹KHK` solve it. They are found from an equivalent symmetric
    problem with a few products with `K`.

    Several sources and targets: the distances of all pairs of a source and a target domain are
    averaged, so that each source meets each target. All domains share one map.

    The components are scaled so that their variances have mean four and the proportions of
    `criterion_`, as those of directions of equal length `tr(Wᵀ(KLK + ρI)W)` have.

    Large data: the exact solver holds the kernel of all samples, 16 bytes for each pair. Above
    5,000 samples `solver="auto"` takes `landmarks` of them as a basis (Nyström), with memory and
    time in proportion to the number of samples. The kernels `"linear"`, `"cosine"` and `"primal"`
    are solved exactly for any number of samples.

    ADAPT and skada take the eigenvectors of `(I + μKLK)⁻¹KHK` as if that matrix were symmetric;
    it is not, and their subspace reaches a lower value of the criterion. Their `μ` is `1/ρ`, which
    is another strength at every number of samples.

    Args:
        n_components: Number of components, 1 or more. There are fewer where samples span fewer.
        kernel: `"rbf"`, `"linear"`, `"laplacian"`, `"polynomial"` or `"cosine"`; `"primal"` is
            linear with the penalty `ρ‖P‖²` on the projection of the features instead of on `W`.
        gamma: Width of the kernel: a number above 0, `"median"` (1 / median squared distance) or
            `"scale"` (1 / (features · variance)).
        regularization: `r` above 0, against the squared distance of the domains' means, in units of
            the samples' variance: `ρ = r · tr(KHK) / n` (primal: `r · tr(XᵀHX) / n`), so that it
            means the same at any number of samples and scale of features and kernel. From about
            10 up the components are nearly those of kernel PCA; 0.1 and less brings the means
            together completely. That moves classes onto each other where their shares differ
            between domains, so lower it only where shares agree, and where they differ much raise
            it.
        solver: `"exact"`, `"nystroem"` or `"auto"`, by size.
        landmarks: Number of samples in the basis of `"nystroem"`.
        target: Label of the target domain, or a list of labels.
        random_state: Seed of the landmarks, of the median and of the eigensolver's start.

    Attributes:
        coefficients_: `(basis, components)`, what kernel values of new samples are multiplied by;
            `(features, components)` for linear, cosine and primal.
        basis_: Samples that new samples are compared with; None for linear, cosine and primal.
        criterion_: Value of the criterion for each component, descending.
        gamma_: Width that was used; None for linear, cosine and primal.
        solver_: `"exact"` or `"nystroem"`.

    Raises:
        InputError: If an argument is wrong, samples are all equal or overflow, or the kernel
            would not fit into memory.

    Example:
        >>> import numpy as np
        >>> from tl_keras.features import TransferComponentAnalysis
        >>> random = np.random.default_rng(0)
        >>> X = random.normal(size=(60, 3))
        >>> X[30:, 0] += 5  # the domains differ in the first feature
        >>> domain = np.repeat(["source", "target"], 30)
        >>> analysis = TransferComponentAnalysis(2, kernel="linear", regularization=0.001)
        >>> Z = analysis.fit_transform(X, domain=domain)
        >>> bool(np.linalg.norm(Z[:30].mean(0) - Z[30:].mean(0)) < 0.1)
        True

    Reference:
        Pan, Tsang, Kwok and Yang, "Domain adaptation via transfer component analysis", IEEE
        Transactions on Neural Networks 22(2), 2011.
    """

    def __init__(
        self,
        n_components: int = 40,
        *,
        kernel: str = "rbf",
        gamma: Any = "median",
        regularization: float = 10.0,
        solver: str = "auto",
        landmarks: int = 1000,
        target: Any = "target",
        random_state: Any = None,
    ):
        self.n_components = n_components
        self.kernel = kernel
        self.gamma = gamma
        self.regularization = regularization
        self.solver = solver
        self.landmarks = landmarks
        self.target = target
        self.random_state = random_state

    def _fit(self, X, y, domains):
        self._solve(self._space(X), pairs_of_domains(domains))
