"""What all estimators on feature arrays share: domains, labels, weights, kernels, memory.

Nothing here, nor in `instances`, `features`, `relations` and `validation`, needs TensorFlow.
"""

from tl_keras.arrays.base import DomainTransformer, DomainWeighter
from tl_keras.arrays.domains import (
    Domains,
    MissingDomain,
    resolve_domains,
    stack_domains,
    warn_without_domain,
)
from tl_keras.arrays.labelled_only import LabelledOnly
from tl_keras.arrays.labels import labelled_samples, require_classes, unlabelled
from tl_keras.arrays.weights import (
    DegenerateWeights,
    effective_sample_size,
    finished_weights,
    warn_of_one_sample,
)
from tl_keras.utils.memory import check_memory

__all__ = [
    "DegenerateWeights",
    "DomainTransformer",
    "DomainWeighter",
    "Domains",
    "LabelledOnly",
    "MissingDomain",
    "check_memory",
    "effective_sample_size",
    "finished_weights",
    "labelled_samples",
    "require_classes",
    "resolve_domains",
    "stack_domains",
    "unlabelled",
    "warn_of_one_sample",
    "warn_without_domain",
]
