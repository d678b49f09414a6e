import numpy as np
import pytest

import tl_keras as tl
from tl_keras.schedules import apply_freezing
from tl_keras.schedules.freezing import unfrozen_blocks
from tl_keras.utils.errors import InputError


@pytest.fixture
def model(network):
    return tl.build_transfer_model(network, 3)


def test_blocks_follow_the_stages_of_the_network(model):
    assert [block.name for block in model.blocks] == ["stem", "block1", "block2"]


@pytest.mark.parametrize(
    ("unfreeze", "expected"),
    [
        (0, []),
        (1, ["block2"]),
        (0.5, ["block1", "block2"]),
        ("all", ["stem", "block1", "block2"]),
        ("block*", ["block1", "block2"]),
        ("stem", ["stem"]),
    ],
)
def test_unfreeze_names_blocks_from_the_top(model, unfreeze, expected):
    assert [block.name for block in unfrozen_blocks(model.blocks, unfreeze)] == expected


def test_what_cannot_be_unfrozen_is_refused(model):
    with pytest.raises(InputError, match="expected at most 3 blocks"):
        unfrozen_blocks(model.blocks, 4)
    with pytest.raises(InputError, match=r"no block is named like 'layer\*'; the blocks are"):
        unfrozen_blocks(model.blocks, "layer*")


def test_audit_counts_what_trains(model):
    rows = {row.block: row for row in apply_freezing(model, tl.Stage(1, unfreeze=1))}
    kernel = 3 * 3 * 8 * 8 + 8
    assert rows["stem"].trainable == 0 and rows["stem"].learning_rate == 0
    assert rows["block2"].trainable == kernel
    assert rows["block2"].weights == kernel + 4 * 8
    assert rows["head"].trainable == 8 * 3 + 3
    assert {row.batch_norm for name, row in rows.items() if name != "head"} == {"frozen"}
    updating = apply_freezing(model, tl.Stage(1, unfreeze=1, batch_norm="update"))
    assert [row.batch_norm for row in updating] == ["frozen", "frozen", "update", "–"]
    assert updating[2].trainable == kernel + 2 * 8
    assert "BatchNorm" in str(updating)


def test_refreezing_undoes_unfreezing(model):
    apply_freezing(model, tl.Stage(1, unfreeze="all", batch_norm="update"))
    apply_freezing(model, tl.Stage(1))
    assert model.backbone.trainable_variables == []
    assert len(model.trainable_variables) == 2


def test_a_backbone_that_came_frozen_is_unfrozen(network):
    network.trainable = False
    model = tl.build_transfer_model(network, 3)
    apply_freezing(model, tl.Stage(1, unfreeze="all"))
    assert len(model.backbone.trainable_variables) == 6


def test_frozen_statistics_hold_even_in_training_mode(model):
    apply_freezing(model, tl.Stage(1, unfreeze="all"))
    x = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3))
    before = [w.numpy() for w in model.weights]
    model(x, training=True)
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, model.weights, strict=True))


@pytest.mark.parametrize("batch_norm", ["frozen", "update"])
def test_statistics_inside_a_saved_model_follow_the_policy(network, tmp_path, batch_norm):
    network.export(tmp_path / "module", verbose=False)
    model = tl.build_transfer_model(str(tmp_path / "module"), 3, input_shape=(16, 16, 3))
    apply_freezing(model, tl.Stage(1, unfreeze="all", batch_norm=batch_norm))
    assert model.backbone.inference_only == (batch_norm == "frozen")
