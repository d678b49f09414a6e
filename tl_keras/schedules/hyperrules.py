"""Rules that choose a schedule from the size of the data.

In the spirit of the BiT-HyperRule (Kolesnikov et al.: *Big Transfer*, ECCV 2020): few values
depend on few facts, and the table below is all there is.

| training images | head, epochs | then | epochs, by updates |
|-|-|-|-|
| under 50        | 40 | nothing more | – |
| 50 … 399        | 30 | all blocks, learning rate 2e-4 | 400 updates, ≤ 40 epochs |
| 400 … 9,999     | 10 | all blocks, learning rate 3e-4 | 600 updates, 8 … 30 epochs |
| from 10,000     |  2 | all blocks, learning rate 3e-4 | 5 epochs |
"""

import math

from tl_keras.schedules.stage import Stage


def auto(num_examples: int, *, batch_size: int = 32) -> tuple[Stage, ...]:
    """Return the schedule for a training set of this size.

    The head trains first on frozen features, which costs one pass over the images; then all
    blocks train with frozen BatchNorm statistics, long enough for a number of updates that
    depends on the size only.

    Args:
        num_examples: Number of training images, ≥ 1.
        batch_size: Images per update.

    Returns:
        One or two stages.
    """
    steps_per_epoch = math.ceil(num_examples / batch_size)
    if num_examples < 50:
        return (Stage(40, unfreeze=0, learning_rate=1e-3),)
    if num_examples < 400:
        head_epochs, learning_rate = 30, 2e-4
        epochs = min(40, math.ceil(400 / steps_per_epoch))
    elif num_examples < 10_000:
        head_epochs, learning_rate = 10, 3e-4
        epochs = min(30, max(8, math.ceil(600 / steps_per_epoch)))
    else:
        head_epochs, learning_rate, epochs = 2, 3e-4, 5
    return (
        Stage(head_epochs, unfreeze=0, learning_rate=1e-3, augment=False),
        Stage(epochs, unfreeze="all", learning_rate=learning_rate, warmup=0.1),
    )
