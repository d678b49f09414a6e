"""Scores and splits for choosing among adapted estimators without target labels.

Scores and splits ask for the `domain` of each sample themselves, through scikit-learn's metadata
routing. `cross_validate` and `fit_search` switch that on for their own time; importing this package
switches nothing.

scikit-learn's own functions raise some errors before they call anything of this package:

* `Pipeline.fit does not accept the domain parameter`: metadata routing is off. Call
  `sklearn.set_config(enable_metadata_routing=True)` first, or `fit_search` and `cross_validate`.
* `'<' not supported between instances of 'NoneType' and 'str'`, `Input y contains NaN`: the default
  `cv` stratifies by labels, some of which are missing. Pass `cv=DomainSplit(5)`.
* The same, or `Input y_true contains NaN`, with that `cv`: scores such as `"accuracy"` compare
  predictions with missing labels. Pass `scoring=reverse_validation()`.
"""

from tl_keras.validation.circular_validation import circular_validation
from tl_keras.validation.cross_validate import cross_validate, fit_search
from tl_keras.validation.divergence_score import divergence_score
from tl_keras.validation.domain_score import domain_score
from tl_keras.validation.domain_split import DomainSplit
from tl_keras.validation.importance_weighted_score import importance_weighted_score
from tl_keras.validation.leave_one_domain_out import LeaveOneDomainOut
from tl_keras.validation.reverse_validation import reverse_validation
from tl_keras.validation.source_target_shuffle_split import SourceTargetShuffleSplit

__all__ = [
    "DomainSplit",
    "LeaveOneDomainOut",
    "SourceTargetShuffleSplit",
    "circular_validation",
    "cross_validate",
    "divergence_score",
    "domain_score",
    "fit_search",
    "importance_weighted_score",
    "reverse_validation",
]
