"""Training: `fine_tune` and what it is made of."""

from tl_keras.training.fine_tune import fine_tune
from tl_keras.training.learning_rate_finder import find_learning_rate
from tl_keras.training.learning_rates import LearningRates
from tl_keras.training.pretrain import pretrain
from tl_keras.training.resumable_callback import ResumableCallback
from tl_keras.training.runs.checkpoints import Checkpoints
from tl_keras.training.runs.run import Run, load_run_model
from tl_keras.training.two_way import TwoWay, two_way_transfer

__all__ = [
    "Checkpoints",
    "LearningRates",
    "ResumableCallback",
    "Run",
    "TwoWay",
    "find_learning_rate",
    "fine_tune",
    "load_run_model",
    "pretrain",
    "two_way_transfer",
]
