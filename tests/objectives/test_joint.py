"""The joint loss against its formula."""

import dataclasses

import numpy as np
import pytest
from scipy.special import log_softmax

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives import Joint, Linear
from tl_keras.objectives.joint import joint_loss
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError


def made(progress=0.5):
    """A batch of two sources and two targets, and the mean cross-entropy of each by hand."""
    labels = {
        "a": ([0, 1, 2, 0], None),
        "b": ([2, 2, 1], None),
        "target": ([0, 1, 1], [1, 0, 1]),
        "target_b": ([1, 1], [1, 1]),
    }
    domains, sums = {}, {}
    for index, (name, (y, mask)) in enumerate(labels.items()):
        logits = points(len(y), 3, index) * 2
        domains[name] = domain(points(len(y), 4), logits, y, mask)
        losses = -log_softmax(logits.numpy(), axis=1)[np.arange(len(y)), y]
        kept = np.ones(len(y)) if mask is None else np.array(mask)
        sums[name] = (losses * kept).sum(), kept.sum()
    domains["target_c"] = domain(points(5, 4), points(5, 3))
    spec = TargetSpec("classification", 3)
    return dataclasses.replace(batch(progress, **domains), targets=spec), sums


def mean(*sums):
    return sum(s for s, _ in sums) / sum(n for _, n in sums)


def test_alpha_divides_between_weighted_sources_and_pooled_targets():
    one, sums = made()
    found = Joint(0.3, {"b": 3.0}).losses(one)
    source = (mean(sums["a"]) + 3 * mean(sums["b"])) / 4
    target = mean(sums["target"], sums["target_b"])
    assert float(found["source_loss"]) == pytest.approx(source, rel=1e-5)
    assert float(found["target_loss"]) == pytest.approx(target, rel=1e-5)
    assert float(found["loss"]) == pytest.approx(0.3 * source + 0.7 * target, rel=1e-5)


def test_alpha_can_change_with_progress():
    one, sums = made(progress=0.25)
    source = (mean(sums["a"]) + mean(sums["b"])) / 2
    target = mean(sums["target"], sums["target_b"])
    found = Joint(Linear(1.0, 0.0)).losses(one)["loss"]
    assert float(found) == pytest.approx(0.75 * source + 0.25 * target, rel=1e-5)


def test_the_formula():
    assert float(joint_loss([2.0, 4.0], [1.0, 3.0], 10.0, 0.5)) == pytest.approx(6.75)


def test_bad_arguments():
    with pytest.raises(InputError, match=r"alpha: expected a share from 0 to 1, got 1\.5"):
        Joint(1.5)
    with pytest.raises(InputError, match=r"source_weights\['a'\]: expected a number ≥ 0"):
        Joint(source_weights={"a": -1})
    with pytest.raises(InputError, match="Joint needs labels in a target domain"):
        Joint().begin(setup())
    both = setup(labelled=("source", "target"))
    with pytest.raises(InputError, match=r"source_weights: \['photos'\] are no source domains"):
        Joint(source_weights={"photos": 1}).begin(both)
    with pytest.raises(InputError, match="at least one labelled source needs a weight > 0"):
        Joint(source_weights={"source": 0}).begin(both)
    tl.objectives.Joint().begin(both)
