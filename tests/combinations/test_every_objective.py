"""Every objective × stage, BatchNorm, labels of the target, tiny targets and replicas.

Each cell is one or two training steps, run eagerly on the batches that `fine_tune` would train on,
from weights that have moved since the objective began. Crossed, for every objective:

- a head-only stage, then one of all weights with frozen BatchNorm, target without labels;
- all weights with updating BatchNorm × target without labels, with some, with all that are unused;
- one replica × two: with a target of three examples that only one of them has (frozen BatchNorm),
  or, where the loss is one of each share, with equal shares (updating BatchNorm);
- domains that are equal × head only, frozen and updating BatchNorm, for objectives that compare
  distributions.

The target has five examples, and the batch is one in which it begins again; or it has three, fewer
than a batch. All cells have both domains; `MultiTask` has two tasks in each.
"""

import dataclasses
import functools
import importlib.util
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conformance.test_objectives import (
    NEEDS,
    ROWS,
    images,
    largest_change,
    learns_from_labels,
    model_of,
)
from tl_keras.data import Epochs
from tl_keras.data.augmentation.augment import batch_seed
from tl_keras.data.domains import as_domains
from tl_keras.objectives import Setup
from tl_keras.schedules import apply_freezing
from tl_keras.training.plan import RunPlan, Settings
from tl_keras.training.step import train_step
from tl_keras.training.step.means import Totals
from tl_keras.utils.errors import InputError

found = tl.objectives
SIZE, RATE, NOISE = 4, 0.05, 1e-6
HEAD = tl.Stage(1)
FROZEN = tl.Stage(1, unfreeze="all")
UPDATING = tl.Stage(1, unfreeze="all", batch_norm="update")
NAMES = [type(make()).__name__ for make, _ in ROWS]
OF_SHARES = {
    "BSS": "singular values of a share",
    "DeepCORAL": "covariances of a share",
    "DeepJDOT": "the transport plan of a share",
    "EntropyMinimization": "its diversity is that of a share",
    "JAN": "kernels within a share",
    "MCC": "confusion within a share",
    "MMD": "kernels within a share",
    "Reconstruction": "its noise is drawn for a share",
    "SimCLR": "negatives of a share",
    "VICReg": "variances of a share",
}
"""Objectives whose loss is one of each replica's share, and of what."""


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    """Run steps without a trace, which takes ten times as long as a step here."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(autouse=True)
def equal_views(monkeypatch):
    """Let both replicas change their views by the same random numbers."""
    monkeypatch.setattr(
        train_step, "step_seed", lambda seed, stage, step: batch_seed(seed, stage, step, 0)
    )


@functools.cache
def last_batch(count: int):
    """Return the domains, a target of `count` among them, and the last batch of their epoch."""
    y = np.arange(12) % 3
    data = {
        "source": (images(0), y),
        "source_b": (images(2), y),
        "target": (images(1)[:count], y[:count]),
    }
    domains = as_domains(data)
    *_, (x, y) = domains.batches(model_of("adaptation").targets, SIZE, epochs=Epochs(0, 0, 1))
    return domains, x, y


def batch_of(kind: str, labels: str, count: int, equal: bool):
    """Return the domains and x and y by domain, with labels of the target as asked."""
    domains, x, y = last_batch(count)
    names = [name for name in x if name != "source_b" or kind == "several domains"]
    x, y = ({name: values[name] for name in names} for values in (x, y))
    if labels == "none":
        del y["target"]
    elif labels == "some":
        without = np.arange(len(y["target"]))[:, None] % 2 == 1
        y["target"] = tf.where(without, np.float32(np.nan), y["target"])
    if equal:
        x["target"] = x["source"]
        domains = as_domains({"source": images(0), "target": images(0)})
    if kind == "several tasks":
        y = {name: {"kind": one, "size": one @ [[0.0], [1.0], [2.0]]} for name, one in y.items()}
    return domains, x, y


@functools.cache
def shared_model(kind: str, strategy: tf.distribute.Strategy) -> tuple[tl.TransferModel, list]:
    """Return a model on a strategy, and the weights that every cell starts from."""
    with strategy.scope():
        model = model_of(kind)
    return model, model_of(kind).get_weights()


class Cell:
    """A model and its objectives on the way through stages of one step each.

    Args:
        make: Makes an objective, or None for `Supervised` alone.
        kind: As for `model_of`.
        strategy: Where it trains.
        labels: Of the target: `"none"`, `"some"` or `"all"`.
        count: Examples of the target.
        used: Whether labels of the target are.
        equal: Whether the target of the batch is the source.
    """

    def __init__(
        self, make, kind, strategy=None, *, labels="none", count=5, used=True, equal=False
    ):
        self.strategy = strategy or tf.distribute.get_strategy()
        self.model, weights = shared_model(kind, self.strategy)
        self.model.set_weights(weights)
        # Where Keras takes its seeds from. One set in TensorFlow would make it forget its kernels,
        # and making them again takes half of a step.
        random.seed(0)
        own = [] if make is None else [make()]
        with_labels = [one for one in own if learns_from_labels(one)]
        self.objectives = own if with_labels else [found.Supervised(), *own]
        self.domains, self.x, self.y = batch_of(kind, labels, count, equal)
        labelled = [name for name in self.y if used or name != "target"]
        self.used, self.idle, self.stages = used, False, 0
        with self.strategy.scope():
            setup = Setup(self.model, tuple(self.x), tuple(labelled), 0)
            for one in self.objectives:
                one.begin(setup)

    def move(self) -> None:
        """Take the weights away from where an objective, or a stage of it, began."""
        generator = np.random.default_rng(self.stages)
        for variable in self.model.trainable_variables:
            value = variable.numpy()
            variable.assign(value + generator.normal(0.0, 0.05, value.shape).astype(value.dtype))

    def step(self, stage: tl.Stage, shares: list[dict[str, slice]] | None = None) -> "Cell":
        """Make one step of a stage; each replica has all of the batch, or its share of it."""
        with self.strategy.scope():
            apply_freezing(self.model, stage)
            for one in self.objectives:
                one.begin_stage(self.model)
            self.move()
            plan = self.plan(stage)
            optimizer = keras.optimizers.SGD(RATE)
            optimizer.build(plan.trained_variables())
            # It is the middle of a stage, where ramps are on.
            optimizer.iterations.assign(1)
            functions = [one.teacher_functions() for one in self.objectives]
            spec = [
                tf.nest.map_structure(lambda one: tf.TensorSpec(None, one.dtype), part)
                for part in (self.x, self.y)
            ]
            step = train_step.make_train_step(
                plan,
                self.stages,
                optimizer,
                spec,
                forward=self.model.forward,
                teachers={name: one for own in functions for name, one in own.items()},
            )
        totals = step.run(
            self.shared(self.x, shares), self.shared(self.y, shares), Totals.zero(), 0.0
        )
        self.logs, self.idle = totals.means(step.names), bool(step.idle)
        self.weights = self.model.get_weights()
        self.stages += 1
        return self

    def plan(self, stage: tl.Stage) -> RunPlan:
        """Return a plan whose stages have two steps each, the running one included."""
        stages = (dataclasses.replace(stage, epochs=2),) * (self.stages + 1)
        settings = Settings(batch_size=1000, seed=0, verbose=False, target_labels=self.used)
        return RunPlan(
            model=self.model,
            objectives=tuple(self.objectives),
            train=self.domains,
            stages=stages,
            targets=self.model.targets,
            settings=settings,
            strategy=self.strategy,
        )

    def shared(self, part, shares):
        """Return a part of the batch as the replicas get it."""
        if self.strategy.num_replicas_in_sync == 1:
            return part

        def of_replica(context, name, one):
            return one if shares is None else one[shares[context.replica_id_in_sync_group][name]]

        return {
            name: tf.nest.map_structure(
                lambda one, n=name: self.strategy.experimental_distribute_values_from_function(
                    lambda context: of_replica(context, n, one)
                ),
                values,
            )
            for name, values in part.items()
        }

    def finished(self) -> list[np.ndarray]:
        """Return the weights once the objectives have finished; cells share their model."""
        self.model.set_weights(self.weights)
        for one in self.objectives:
            one.finish(self.model, self.domains)
        return self.model.get_weights()


@functools.cache
def supervised(kind: str, *stages: tl.Stage, **settings) -> list[list[np.ndarray]]:
    """Return the weights after each stage without the objective."""
    make = found.MultiTask if kind == "several tasks" else None
    cell = Cell(make, kind, **settings)
    return [cell.step(stage).weights for stage in stages]


@functools.cache
def with_some_labels(make, kind: str) -> Cell:
    """Return a cell after one step with updating BatchNorm and some labels of the target."""
    return Cell(make, kind, labels="some").step(UPDATING)


def test_what_has_no_weight_changes_nothing():
    cell = Cell(lambda: found.MCC(weight=0.0), "adaptation").step(UPDATING)
    assert cell.logs["mcc"] > 0.0
    assert largest_change(cell.weights, supervised("adaptation", UPDATING)[0]) < NOISE


def needs_target_labels(make) -> bool:
    return isinstance(make(), found.Joint)


def rows(chosen=lambda name: True):
    """Return objectives, those that need an extra marked as skipped without it."""
    return [
        pytest.param(
            make,
            kind,
            id=name,
            marks=pytest.mark.skipif(
                name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None,
                reason='pip install "tl_keras[transport]"',
            ),
        )
        for name, (make, kind) in zip(NAMES, ROWS, strict=True)
        if chosen(name)
    ]


every_objective = pytest.mark.parametrize(("make", "kind"), rows())


@every_objective
def test_on_or_warned_of_in_two_stages(make, kind):
    """What has no gradient in the head changes nothing of it, and all change the whole model."""
    labels = "some" if needs_target_labels(make) else "none"
    alone = supervised(kind, HEAD, FROZEN, labels=labels)
    cell = Cell(make, kind, labels=labels)
    change = largest_change(cell.step(HEAD).weights, alone[0])
    acts_at_the_end = isinstance(make(), found.AdaBN)
    assert change == 0.0 if cell.idle or acts_at_the_end else change > NOISE
    cell.step(FROZEN)
    assert not cell.idle
    assert np.isfinite(list(cell.logs.values())).all()
    assert largest_change(cell.finished(), alone[1]) > NOISE


@every_objective
def test_labels_of_a_target_with_updating_batch_norm(make, kind):
    """Some that are used let the objective be on; all, unused, give what none give, bit for bit."""
    some = with_some_labels(make, kind)
    alone = supervised(kind, UPDATING, labels="some")[0]
    assert largest_change(some.finished(), alone) > NOISE
    if needs_target_labels(make):
        with pytest.raises(InputError, match="label"):
            Cell(make, kind, labels="all", used=False)
        return
    none = Cell(make, kind).step(UPDATING)
    unused = Cell(make, kind, labels="all", used=False).step(UPDATING)
    for one, other in zip(none.weights, unused.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert "target_accuracy" in unused.logs or kind == "several tasks"
    assert all(unused.logs[name] == value for name, value in none.logs.items())


@pytest.mark.parametrize(("make", "kind"), rows(lambda name: name in OF_SHARES))
def test_equal_shares_give_the_update_of_one(make, kind, two_devices):
    """Statistics within a share are those of the one batch where both replicas have it whole."""
    one = with_some_labels(make, kind)
    two = Cell(make, kind, two_devices, labels="some").step(UPDATING)
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    for name, value in one.logs.items():
        assert two.logs[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize(("make", "kind"), rows(lambda name: name not in OF_SHARES))
def test_uneven_shares_add_up_where_one_has_no_target(make, kind, two_devices):
    """A target of three examples, all on the first device, and one source example there of four."""
    shares = [{"source": slice(0, 1), "source_b": slice(0, 3), "target": slice(0, 3)},
              {"source": slice(1, 4), "source_b": slice(3, 4), "target": slice(3, 4)}]  # fmt: skip
    labels = "some" if needs_target_labels(make) else "none"
    one, two = (
        Cell(make, kind, strategy, labels=labels, count=3).step(FROZEN, shares)
        for strategy in (None, two_devices)
    )
    assert one.x["target"].shape[0] == 3
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    for name, value in one.logs.items():
        assert two.logs[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("stage", [HEAD, FROZEN, UPDATING], ids=["head", "frozen", "updating"])
@pytest.mark.parametrize("make", [found.DeepCORAL, found.JAN, found.MMD])
def test_equal_domains_change_nothing(make, stage):
    """A distance of a distribution to itself is 0, and at its minimum."""
    cell = Cell(make, "adaptation", equal=True).step(stage)
    assert cell.logs[cell.objectives[1].name] == pytest.approx(0.0, abs=NOISE)
    assert largest_change(cell.weights, supervised("adaptation", stage, equal=True)[0]) < NOISE


@pytest.mark.parametrize("stage", [HEAD, FROZEN, UPDATING], ids=["head", "frozen", "updating"])
@pytest.mark.parametrize("make", [found.CDAN, found.DANN])
def test_equal_domains_cannot_be_told_apart(make, stage):
    """A classifier of domains is right about an example as often as it is wrong."""
    cell = Cell(lambda: make(hidden_units=(8,)), "adaptation", equal=True).step(stage)
    assert cell.logs[f"{cell.objectives[1].name}_accuracy"] == 0.5


@pytest.mark.parametrize("stage", [HEAD, FROZEN], ids=["head", "frozen"])
def test_ada_bn_between_equal_domains_changes_nothing(stage):
    cell = Cell(lambda: found.AdaBN(batch_size=4), "adaptation", equal=True).step(stage)
    for one, other in zip(cell.weights, cell.finished(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


UNLABELLED_ONLY = [row for row in ROWS if row[0]().unlabelled_only]


@pytest.mark.parametrize(
    ("make", "kind"), UNLABELLED_ONLY, ids=[type(make()).__name__ for make, _ in UNLABELLED_ONLY]
)
def test_all_labels_leave_nothing_to_objectives_for_examples_without(make, kind):
    """As `fine_tune` warns: the update is that of `Supervised`."""
    cell = Cell(make, kind, labels="all").step(FROZEN)
    assert cell.logs[cell.objectives[1].name] == 0.0
    assert largest_change(cell.weights, supervised(kind, FROZEN, labels="all")[0]) < NOISE


@pytest.mark.parametrize(("count", "size"), [(12, 4), (5, 4), (3, 3), (1, 1)])
def test_every_batch_of_a_tiny_target_is_full_or_has_all_of_it(count, size):
    domains = as_domains({"source": images(0), "target": images(1)[:count]})
    batches = list(domains.batches(None, SIZE, epochs=Epochs(0, 0, 2)))
    assert [len(x["target"]) for x, _ in batches] == [size] * 6
    seen = np.concatenate([x["target"] for x, _ in batches]).reshape(6 * size, -1)
    whole = seen[: len(seen) // count * count].reshape(-1, count, seen.shape[1])
    for one in whole:
        assert len(np.unique(one, axis=0)) == count
