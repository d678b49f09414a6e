"""Images whose class is their brightest channel, and a model that needs no training for them."""

import keras
import numpy as np

import tl_keras as tl

SIZE = 8
CHANNELS = ("red", "green", "blue")


def coloured(classes: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return noisy uint8 images `(n, 8, 8, 3)` of classes that are numbers of channels."""
    random = np.random.default_rng(seed)
    x = random.integers(0, 100, (len(classes), SIZE, SIZE, 3))
    x[np.arange(len(classes)), :, :, classes] += 120
    return x.astype(np.uint8)


def write_folders(root, counts: dict[str, int], seed: int = 0) -> None:
    """Write a folder of PNG images for each colour."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for index, image in enumerate(
            coloured(np.full(count, CHANNELS.index(name)), seed + CHANNELS.index(name))
        ):
            keras.utils.save_img(root / name / f"{index}.png", image, scale=False)


def right_model(labels=CHANNELS, head: str = "linear", **options) -> tl.TransferModel:
    """Return a model whose output for a colour is the larger the brighter its channel is.

    Args:
        labels: Names of the outputs, some of the three colours in any order.
        head: A head with one dense layer.
        **options: Of `build_transfer_model`.
    """
    images = keras.Input((SIZE, SIZE, 3))
    network = keras.Model(images, keras.layers.Activation("linear")(images))
    names = options.pop("outputs", labels)
    model = tl.build_transfer_model(network, len(labels), head=head, class_names=names, **options)
    kernel, bias = model.head.stack[-1].get_weights()
    kernel[:] = 0.0
    for output, name in enumerate(labels):
        kernel[CHANNELS.index(name), output] = 0.2
    model.head.stack[-1].set_weights([kernel, bias - 0.2 * 110])
    return model
