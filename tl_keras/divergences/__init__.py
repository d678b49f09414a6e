"""How far two sets of samples are apart: pure functions of two arrays."""

from tl_keras.divergences.coral import coral_distance
from tl_keras.divergences.frechet import frechet_distance
from tl_keras.divergences.mmd import maximum_mean_discrepancy
from tl_keras.divergences.proxy_a import proxy_a_distance

__all__ = [
    "coral_distance",
    "frechet_distance",
    "maximum_mean_discrepancy",
    "proxy_a_distance",
]
