"""Several domains in one forward pass: orders, counts, views, replicas, labels that are missing."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.data.domains import DomainExamples, as_domains
from tl_keras.data.rows import Epochs, Part
from tl_keras.objectives import Joint, Objective, Supervised
from tl_keras.training.stage_data import fitting_layers
from tl_keras.utils.errors import InputError

SIZES = {"photos": 20, "target_a": 9, "target_b": 14}


class Alignment(Objective):
    """The squared distance of the means of features over the whole batch; nothing random."""

    reads_images = False

    def losses(self, batch):
        source, target = batch.source, batch.target
        per_example = tf.reduce_sum(tf.square(source.features), axis=1)
        other = tf.reduce_sum(tf.abs(target.features), axis=1)
        return {"loss": source.mean(per_example) + target.mean(other)}


class Watching(Objective):
    """Has a layer, a memory and a view of its own."""

    def begin(self, setup):
        self.shapes = setup.forward_shapes
        self.layer = keras.layers.Dense(2, name="watch")
        self.layer.build((None, setup.num_features))
        self.flip = keras.layers.RandomFlip("horizontal")
        self.count = keras.Variable(0.0, trainable=False, aggregation="only_first_replica")

    def networks(self):
        return {"watch": self.layer}

    def memory(self):
        return [self.count]

    def views(self):
        return {"flipped": ((self.flip,), ("target",))}

    def after_update(self, model):
        self.count.assign_add(1.0)

    def losses(self, batch):
        view = batch.views["flipped"]["target"]
        frozen = batch.rerun("target", [(v, v.value) for v in batch.model.trainable_variables])
        same = tf.reduce_max(tf.abs(frozen.logits - batch["target"].logits))
        values = tf.reduce_sum(tf.square(self.layer(view.features)), axis=1)
        return {"loss": view.mean(values), "same": batch.per_batch(same)}


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 16, 16, 3)).astype(np.uint8)


def domains(labelled=("photos",)):
    return {
        name: (images(n, i), np.arange(n) % 3) if name in labelled else images(n, i)
        for i, (name, n) in enumerate(SIZES.items())
    }


def build():
    return tl.build_transfer_model(tiny_network(), 3)


STAGE = tl.Stage(2, unfreeze="all", learning_rate=0.05, optimizer="sgd", decay="constant")


def test_every_domain_is_seen_whole_before_any_example_comes_again():
    examples = as_domains(domains())
    spec = build().targets
    seen = {name: [] for name in SIZES}
    for x, y in examples.batches(spec, 4, epochs=Epochs(seed=3, count=2)):
        assert set(y) == {"photos"}
        for name, values in x.items():
            seen[name].append(values.numpy().reshape(len(values), -1))
    assert len(examples) == 20
    for name, count in SIZES.items():
        rows = np.concatenate(seen[name])
        first = np.unique(rows[:count], axis=0)
        assert len(first) == count, name
        assert len(seen[name]) == 10


def test_a_later_start_continues_the_same_order():
    examples = as_domains(domains())
    whole = list(examples.batches(None, 4, epochs=Epochs(seed=1, count=3)))
    rest = list(examples.batches(None, 4, epochs=Epochs(seed=1, first=1, count=2, skip=2)))
    assert len(whole) == 15 and len(rest) == 8
    for (x, _), (again, _) in zip(whole[7:], rest, strict=True):
        for name in x:
            np.testing.assert_array_equal(x[name], again[name])


def test_shares_of_replicas_make_up_the_batch():
    examples = as_domains(domains())
    place = Epochs(seed=1)
    parts = [examples.batches(None, 4, epochs=place, part=Part(i, 3)) for i in range(3)]
    for (x, _), *shares in zip(examples.batches(None, 4, epochs=place), *parts, strict=True):
        for name in x:
            joined = np.concatenate([share[0][name] for share in shares])
            np.testing.assert_array_equal(joined, x[name])


def test_without_epochs_each_example_comes_once():
    examples = as_domains(domains())
    total = dict.fromkeys(SIZES, 0)
    for x, _ in examples.batches(None, 4):
        for name in x:
            total[name] += len(x[name])
    assert total == SIZES


def aligned(schedule, **arguments):
    objectives = [Supervised(), Alignment(weight=0.01)]
    arguments |= {"schedule": schedule, "objectives": objectives, "verbose": False}
    return tl.fine_tune(build(), domains(), **arguments)


@pytest.fixture(scope="module")
def on_one_device():
    return aligned(STAGE, batch_size=6, strategy="one_device")


@pytest.mark.parametrize("accumulation", [1, 2])
def test_two_devices_and_slices_equal_one(on_one_device, two_devices, accumulation):
    stage = dataclasses.replace(STAGE, accumulation=accumulation)
    run = aligned(stage, batch_size=6, strategy=two_devices)
    # Sums in another order: 4.7e-6 and 1.9e-6 after eight steps with two orders of examples.
    for one, two in zip(on_one_device.model.weights, run.model.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_losses_are_logged_by_name_and_add_up():
    history = aligned(dataclasses.replace(STAGE, unfreeze=0)).history
    total = np.array(history["supervised"]) + 0.01 * np.array(history["alignment"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
    assert "photos_accuracy" in history


def test_means_over_an_epoch_are_of_labelled_examples_only(two_devices):
    held_out = domains(labelled=("photos", "target_a"))
    held_out["target_a"][1][[0, 4, 5]] = -1
    for strategy in ("one_device", two_devices):
        model = build()
        stage = tl.Stage(1, learning_rate=0.05)
        run = tl.fine_tune(
            model,
            domains(),
            held_out,
            schedule=stage,
            batch_size=6,
            strategy=strategy,
            verbose=False,
        )
        entropies = []
        for name in ("photos", "target_a"):
            x, y = (array[held_out[name][1] >= 0] for array in held_out[name])
            likelihood = np.asarray(model(x.astype(np.float32)))
            right = np.mean(likelihood.argmax(axis=1) == y)
            assert run.history[f"val_{name}_accuracy"] == pytest.approx([right])
            entropies.append(-np.log(likelihood[np.arange(len(y)), y]))
        assert run.history["val_loss"] == pytest.approx(
            [np.concatenate(entropies).mean()], rel=1e-5
        )


def test_labels_are_mixed_where_all_are_known(tmp_path):
    flip, mix = keras.layers.RandomFlip("horizontal"), keras.layers.MixUp()
    data = domains(labelled=("photos", "target_a"))
    data["target_a"][1][3] = -1
    spec = dataclasses.replace(build().targets, partly=True)
    layers = fitting_layers([flip, mix], as_domains(data), spec)
    assert layers == {"photos": (flip, mix), "target_a": (flip,), "target_b": (flip,)}
    # With stored views, too, and the labels that are there still count.
    run = tl.fine_tune(
        build(),
        data,
        schedule=tl.Stage(2),
        augmentation=[flip, mix],
        cache=tl.FeatureCache(folder=tmp_path, views=2),
        batch_size=8,
        verbose=False,
    )
    assert np.isfinite(run.history["loss"]).all() and list(tmp_path.iterdir())


def test_layers_memory_views_and_reruns_of_an_objective(tmp_path):
    objective = Watching()
    data = {"source": (images(8), np.arange(8) % 3), "target": images(8, 1)}
    run = tl.fine_tune(
        build(),
        data,
        schedule=STAGE,
        objectives=[Supervised(), objective],
        batch_size=4,
        output=tmp_path / "run",
        verbose=False,
    )
    assert objective.shapes.features == (8,)
    assert float(objective.count.value) == 4
    assert run.history["watching"][1] < run.history["watching"][0]
    assert (tmp_path / "run" / "objectives.zip").exists()
    assert max(run.history["same"]) < 1e-4


def test_missing_labels_are_left_out_of_the_target():
    y = np.array([0, 1, 2, -1, -1, -1, -1, -1])
    data = {"source": (images(8), np.arange(8) % 3), "target": (images(8, 1), y)}
    one_more = {"source": data["source"], "target_labelled": (images(8, 1)[:3], y[:3])}
    stage = dataclasses.replace(STAGE, unfreeze=1)
    histories = [
        tl.fine_tune(build(), d, schedule=stage, batch_size=8, verbose=False).history
        for d in (data, one_more)
    ]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-4)


def test_missing_labels_of_a_source_are_refused():
    y = np.array([0, 1, 2, -1])
    with pytest.raises(InputError, match=r"data\['source'\]: 1 label is missing"):
        tl.fine_tune(build(), {"source": (images(4), y), "target": images(4)}, verbose=False)


def test_names_of_domains_are_strings():
    with pytest.raises(InputError, match="names of domains are strings"):
        as_domains({1: images(2)})
    assert isinstance(as_domains(images(2)), DomainExamples)


def test_an_objective_twice_is_refused():
    with pytest.raises(InputError, match="'supervised' is there 2 times"):
        tl.fine_tune(build(), domains(), objectives=[Supervised(), Supervised()], verbose=False)


def test_two_objectives_on_the_same_labels_are_refused():
    with pytest.raises(InputError, match="Supervised and Joint would count the same labels twice"):
        tl.fine_tune(build(), domains(), objectives=[Supervised(), Joint()], verbose=False)


def test_one_objective_needs_no_list():
    model = build()
    data, stage = domains(tuple(SIZES)), tl.Stage(1)
    run = tl.fine_tune(model, data, objectives=Joint(), schedule=stage, batch_size=4, verbose=False)
    assert np.isfinite(run.history["loss"]).all()
    with pytest.raises(InputError, match=r"objectives: expected a list of tl\.objectives"):
        tl.fine_tune(model, domains(), objectives="mmd", verbose=False)
