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
    assert run(lines) == ""


def test_stacking_domains_does_not_import_tensorflow():
    lines = [
        "import sys, tl_keras as tl",
        "X, y, domain = tl.data.stack_domains(source=([[0.0]], [1]), target=([[1.0]], None))",
        "from tl_keras.data import stack_domains",
        "assert stack_domains is tl.data.stack_domains",
        "assert set(tl.data.__all__) <= set(dir(tl.data)), 'names'",
        "assert 'tensorflow' not in sys.modules, 'heavy import'",
    ]
    assert run(lines) == ""


@pytest.mark.parametrize(
    "first",
    [
        "import tl_keras.data.files.folders",
        "from tl_keras.data import image_folder",
        "tl.data.Epochs",
    ],
)
def test_the_other_names_of_data_are_there_whatever_is_imported_first(first):
    lines = [
        "import tl_keras as tl",
        first,
        "assert callable(tl.data.image_folder) and callable(tl.data.decode_image)",
        "for name in tl.data.__all__:",
        "    value = getattr(tl.data, name)",
        "    assert getattr(value, '__name__', name) == name, name",
        "try:",
        "    tl.data.images",
        "except AttributeError as error:",
        "    assert str(error) == \"module 'tl_keras.data' has no attribute 'images'\", error",
        "else:",
        "    raise AssertionError",
    ]
    assert run(lines) == ""


def run(lines):
    """Return what running these lines says that is an error."""
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr if done.returncode else ""
