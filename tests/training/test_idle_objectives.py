"""An objective that moves nothing of the model in a stage is named, with stage and remedy."""

import warnings

import tensorflow as tf

import tl_keras as tl
from tests.conformance.test_objectives import data_of, model_of

found = tl.objectives


def idle_in(objectives, stages, **settings) -> set[tuple[str, int]]:
    """Return (objective, stage) of every warning, having trained."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tl.fine_tune(
            model_of("adaptation"),
            data_of("adaptation"),
            schedule=stages,
            objectives=[found.Supervised(), *objectives],
            batch_size=12,
            verbose=False,
            **settings,
        )
    lines = [str(one.message) for one in caught if "nothing of the model" in str(one.message)]
    assert all("unfreeze=" in line for line in lines)
    return {(line.split()[1], int(line.split(" in stage ")[1][0])) for line in lines}


OF_FEATURES = [
    lambda: found.DANN(hidden_units=(4,)),
    lambda: found.CDAN(hidden_units=(4,)),
    lambda: found.MDD(hidden_units=(4,)),
    lambda: found.MCD(hidden_units=(4,)),
    found.AFN,
    lambda: found.MMD(["features"]),
    lambda: found.DeepCORAL(["features"]),
    found.BSS,
]


def test_objectives_on_features_are_named_where_only_the_head_trains():
    """All at once; what reads the head's outputs or acts at the end of the run is not named."""
    others = [found.MCC(), found.AdaBN(4), found.EntropyMinimization()]
    of_features = [make() for make in OF_FEATURES]
    names = {type(one).__name__ for one in of_features}
    assert idle_in([*of_features, *others], tl.Stage(1)) == {(name, 1) for name in names}


def test_the_stage_in_which_it_is_idle_is_named():
    stages = (tl.Stage(1), *(tl.Stage(1, unfreeze="all", accumulation=count) for count in (1, 2)))
    assert idle_in([found.MMD(["features"]), found.L2SP()], stages) == {("MMD", 1), ("L2SP", 1)}


def test_on_two_replicas(two_devices):
    assert idle_in([found.DeepCORAL(["features"])], tl.Stage(1), strategy=two_devices) == {
        ("DeepCORAL", 1)
    }


class OfNothing(found.Objective):
    """Its loss has a value and depends on no weight, in any stage."""

    def losses(self, batch):
        return {"loss": batch.source.mean(tf.ones_like(batch.source.real, tf.float32))}


def test_it_is_found_from_the_loss_and_not_from_a_name():
    assert idle_in([OfNothing()], tl.Stage(1, unfreeze="all")) == {("OfNothing", 1)}
