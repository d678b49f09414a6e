"""A crash in the middle of training."""

import keras


class Stop(Exception):
    """What a test raises in the middle of training, as a crash would."""


class CrashAtOnce(keras.callbacks.Callback):
    """Raises when all has been checked and said, before the long part: compiling a step."""

    def on_train_begin(self, logs=None):
        raise Stop


class Crash(keras.callbacks.Callback):
    """Raises after a number of steps."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise Stop
