"""Feature augmentation: every domain gets a copy of the features besides the shared ones."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn.base import OneToOneFeatureMixin

from tl_keras.arrays.base import DomainTransformer
from tl_keras.arrays.domains import Domains
from tl_keras.utils.memory import check_memory


def augmented(X: Any, block: int, count: int) -> Any:
    """Return `(X, 0, …, X, …, 0)`: the shared copy, then `count` blocks with `X` in one of them.

    Args:
        X: `(n, features)`, dense or CSR; the result is of the same kind.
        block: Which of the blocks, 0 … count − 1.
        count: Number of domains.
    """
    n, width = X.shape
    if scipy.sparse.issparse(X):
        before = scipy.sparse.csr_matrix((n, width * block), dtype=X.dtype)
        after = scipy.sparse.csr_matrix((n, width * (count - 1 - block)), dtype=X.dtype)
        return scipy.sparse.hstack([X, before, X, after], format="csr")
    result = np.zeros((n, width * (count + 1)), X.dtype)
    result[:, :width] = X
    result[:, width * (block + 1) : width * (block + 2)] = X
    return result


class FeatureAugmentation(OneToOneFeatureMixin, DomainTransformer):
    """Let a model learn what the domains share and what is particular to each.

    Use it when some target samples have labels: any model trained on the labelled samples of all
    domains can weigh shared features and those of a domain against each other. Without target
    labels it gives nothing.

    A sample `x` of domain `d` becomes `(x, 0, …, x, …, 0)`: the first block is shared, of the
    others, one for each domain, only that of `d` is filled. Two samples of one domain then have
    twice the inner product of samples from two domains.

    Several sources and several targets each have a block; with several targets `transform` needs
    to know the domain. ADAPT's `FA` puts the shared block last and takes one target.

    Sparse samples stay sparse. With many domains, pass them as CSR: the dense result has
    `features · (domains + 1)` columns.

    Args:
        target: Label of the target domain, or a list of labels.

    Attributes:
        domains_: Labels of the domains in the order of their blocks, sources first.

    Example:
        >>> X, domain = [[1.0], [2.0], [3.0]], ["source", "source", "target"]
        >>> FeatureAugmentation().fit_transform(X, domain=domain).tolist()
        [[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [3.0, 0.0, 3.0]]

    Reference:
        H. Daumé III: Frustratingly easy domain adaptation. ACL 2007.
    """

    _sparse: ClassVar[bool] = True
    _one_map_per_target: ClassVar[bool] = True

    def __init__(self, *, target: Any = "target"):
        self.target = target

    def _fit(self, X: Any, y: np.ndarray | None, domains: Domains) -> None:
        self.domains_ = tuple(dict.fromkeys([*domains.sources, *domains.targets]))

    def _map(self, X: Any, domain: Any) -> Any:
        count = len(self.domains_)
        if not scipy.sparse.issparse(X):
            check_memory(
                2.0 * X.dtype.itemsize * X.shape[0] * X.shape[1] * (count + 1),
                type(self).__name__,
                "Pass X as a CSR matrix: the result is sparse then.",
            )
        return augmented(X, self.domains_.index(domain), count)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return names such as `shared_x0`, `source_x0`, `target_x0`.

        Args:
            input_features: Names of the features given to `fit`; by default those it saw.
        """
        names = super().get_feature_names_out(input_features)
        blocks = ["shared", *self.domains_]
        return np.array([f"{block}_{name}" for block in blocks for name in names], dtype=object)
