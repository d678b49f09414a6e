"""Training: `fine_tune` and what it is made of."""

from tl_keras.training.checkpoints import Checkpoints
from tl_keras.training.fine_tune import fine_tune
from tl_keras.training.run import Run, load_run_model

__all__ = ["Checkpoints", "Run", "fine_tune", "load_run_model"]
