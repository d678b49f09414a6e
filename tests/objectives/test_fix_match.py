import keras
import numpy as np
import pytest

from tests.objectives.test_pseudo_label import expected_loss
from tests.objectives.views import begun, build, images, viewed
from tl_keras.objectives import FixMatch
from tl_keras.utils.errors import InputError


def test_labels_of_the_weak_view_are_learned_on_the_strong_one():
    model = build()
    data = {"source": (images(4), np.arange(4) % 3), "target": (images(5, 1), [-1, 1, -1, -1, 2])}
    objective = begun(FixMatch(0.34, keras.layers.RandomFlip("horizontal")), model, data)
    batch = viewed(model, data, objective)
    strong = batch.views["fix_match_strong"]
    assert set(strong) == {"target"}
    losses = objective.losses(batch)
    rows = [0, 2, 3]
    weak, own = batch["target"].logits.numpy()[rows], strong["target"].logits.numpy()[rows]
    expected, sure = expected_loss(own, weak, 0.34)
    assert float(losses["loss"]) == pytest.approx(expected.mean(), rel=1e-4)
    assert float(losses["fix_match_confident"]) == pytest.approx(sure.mean())


def test_the_default_strong_view_changes_images_and_is_repeatable():
    model, data = build(), {"data": images(3)}
    objective = begun(FixMatch(), model, data)
    seen = [
        viewed(model, data, objective).views["fix_match_strong"]["data"].x.numpy() for _ in range(2)
    ]
    np.testing.assert_array_equal(*seen)
    assert np.abs(seen[0] - data["data"]).mean() > 10


def test_layers_that_mix_labels_are_refused():
    with pytest.raises(InputError, match="strong: MixUp mixes the labels of images"):
        FixMatch(strong=keras.layers.MixUp())


def test_the_augmentation_is_part_of_the_configuration():
    one, other = (FixMatch(strong=keras.layers.RandomRotation(f)).config() for f in (0.1, 0.2))
    assert one != other
    assert one == FixMatch(strong=keras.layers.RandomRotation(0.1)).config()
