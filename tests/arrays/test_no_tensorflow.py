import subprocess
import sys

import pytest

PACKAGES = ("arrays", "divergences", "instances", "features", "relations", "validation")


@pytest.mark.parametrize("name", PACKAGES)
def test_importing_does_not_import_tensorflow_nor_switch_routing_on(name):
    lines = [
        "import sys, sklearn",
        f"import tl_keras.{name} as package",
        "assert all(hasattr(package, name) for name in package.__all__), 'exports'",
        "assert not {'tensorflow', 'keras', 'torch'} & set(sys.modules), 'heavy import'",
        "assert not sklearn.get_config()['enable_metadata_routing'], 'routing'",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
