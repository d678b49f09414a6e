"""What is printed about epochs in a plain log, and about the time that a training takes."""

import keras

from tl_keras.frozen.feature_cache import time_text
from tl_keras.schedules import Stage
from tl_keras.utils.errors import counted


class EpochLines(keras.callbacks.Callback):
    """Prints one plain line for each epoch, where a progress bar cannot be drawn again.

    Args:
        epochs: Epochs of the whole schedule.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self._epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        """Print the epoch's number and all that was measured."""
        values = ", ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        print(f"epoch {epoch + 1} of {self._epochs}: {values}", flush=True)


class Pace:
    """Estimates once in a stage how long one of its epochs takes.

    The first call of a compiled function compiles it, and is not counted.

    Attributes:
        first_calls: Seconds of the first calls, to be added to.
        is_known: Whether the estimate has been made.
    """

    def __init__(self):
        self.first_calls = 0.0
        self.is_known = False

    def of_epoch(self, seconds: float, steps_done: int, steps: int) -> float | None:
        """Return the seconds that an epoch takes; None where that is not known yet, or was said.

        Args:
            seconds: That the epoch that ended took.
            steps_done: Steps in it.
            steps: Steps of a whole epoch.
        """
        counted_steps = steps_done - (1 if self.first_calls else 0)
        seconds, self.first_calls = max(0.0, seconds - self.first_calls), 0.0
        if self.is_known or counted_steps < 1:
            return None
        self.is_known = True
        return seconds * steps / counted_steps


def stage_line(stage: Stage, weights: int, patience: int | None) -> str:
    """Return what to say of a stage that begins.

    Args:
        stage: The stage.
        weights: How many weights train.
        patience: Epochs without a better validation loss after which it ends, or None.
    """
    line = (
        f"{stage.name}, {counted(weights, 'weight trains', 'weights train')}, "
        f"{counted(stage.epochs, 'epoch')}"
    )
    if patience is None or patience >= stage.epochs:
        return line
    return f"{line} (ends early after {patience} without a better validation loss)"


def time_line(before: float, left: float, stages_later: int, *, may_end_early: bool) -> str:
    """Return what to say about the time that is left.

    Args:
        before: Seconds that all epochs so far took.
        left: Seconds that the rest of the stage takes.
        stages_later: Stages after it; their pace is not known.
        may_end_early: Whether the stage may end before its last epoch.
    """
    most = "at most " if may_end_early else ""
    if stages_later:
        return (
            f"estimated time: {most}about {time_text(left)} more in this stage; "
            f"{counted(stages_later, 'stage follows', 'stages follow')}"
        )
    return (
        f"estimated time: {most}about {time_text(before + left)} in total, "
        f"{time_text(left)} of it to come"
    )
