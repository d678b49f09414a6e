"""How far it is from `fine_tune` to the gradient."""

import pathlib
import traceback

import numpy as np
import tensorflow as tf

import tl_keras as tl
from tl_keras import training

ENGINE = str(pathlib.Path(training.__file__).parent)


class Looks(tl.objectives.Objective):
    """Keeps the way on which it was called in the step that trains."""

    def losses(self, batch):
        self.way = traceback.extract_stack()
        return {"loss": tf.reduce_mean(tf.square(batch["only"].logits))}


def test_nine_frames_in_four_files(network):
    model = tl.build_transfer_model(network, num_classes=2)
    shape = (4, *model.modality.shape)
    x = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
    looks = Looks()
    tl.fine_tune(
        model,
        {"only": (x, [0, 1, 0, 1])},
        schedule=tl.Stage(1),
        objectives=[looks],
        cache=None,
        verbose=False,
    )
    names = [frame.name for frame in looks.way]
    way = looks.way[names.index("fine_tune") :]
    own = [frame for frame in way if frame.filename.startswith(ENGINE)]
    assert len(own) <= 9, [frame.name for frame in own]
    assert len({frame.filename for frame in own}) <= 4
