import json

import keras
import pytest

from tl_keras.backbones.resolve import backbone_names
from tl_keras.cli.backbones import backbone_rows, is_installed


def test_every_name_is_listed_once(tl_keras_cli):
    code, out, _ = tl_keras_cli("backbones", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == list(backbone_names())


def test_the_table_says_where_weights_come_from(tl_keras_cli):
    code, out, _ = tl_keras_cli("backbones")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "224×224" in rows["ResNet50"]
    assert "75×75" in rows["InceptionV3"]
    assert "pip install" in rows["EfficientNetLite0"]
    assert "keras_hub:PRESET" in out


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetLite0"])
def test_the_smallest_size_builds(name):
    from tl_keras.backbones.resolve import resolve_backbone

    row = next(row for row in backbone_rows() if row["name"] == name)
    side = row["smallest"]
    network = resolve_backbone(name, weights=None, input_shape=(side, side, 3)).network
    assert isinstance(network, keras.Model)


def test_is_installed():
    assert is_installed("numpy")
    assert not is_installed("no-such-distribution")
