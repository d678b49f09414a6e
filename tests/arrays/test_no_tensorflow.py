"""What importing a package of the library brings with it, and what is there whatever comes first.

One process imports what takes seconds, and forks before each case: the library is new to each.
"""

import json
import subprocess
import sys

import pytest

PACKAGES = ("arrays", "divergences", "instances", "features", "relations", "validation")
OF_PACKAGE = """
import sys, sklearn
import tl_keras.{name} as package
assert all(hasattr(package, name) for name in package.__all__), 'exports'
assert not {{'tensorflow', 'keras', 'torch'}} & set(sys.modules), 'heavy import'
assert not sklearn.get_config()['enable_metadata_routing'], 'routing'
"""
OF_STACKING = """
import sys, tl_keras as tl
X, y, domain = tl.data.stack_domains(source=([[0.0]], [1]), target=([[1.0]], None))
from tl_keras.data import stack_domains
assert stack_domains is tl.data.stack_domains
assert set(tl.data.__all__) <= set(dir(tl.data)), 'names'
assert 'tensorflow' not in sys.modules, 'heavy import'
"""
FIRST = (
    "import tl_keras.data.files.folders",
    "from tl_keras.data import image_folder",
    "tl.data.Epochs",
)
OF_DATA = """
import tl_keras as tl
{first}
assert callable(tl.data.image_folder) and callable(tl.data.decode_image)
for name in tl.data.__all__:
    value = getattr(tl.data, name)
    assert getattr(value, '__name__', name) == name, name
try:
    tl.data.images
except AttributeError as error:
    assert str(error) == "module 'tl_keras.data' has no attribute 'images'", error
else:
    raise AssertionError
"""
CASES = [
    ("", "import scipy.optimize, sklearn.ensemble, sklearn.linear_model, sklearn.model_selection"),
    *((name, OF_PACKAGE.format(name=name)) for name in PACKAGES),
    ("stacking", OF_STACKING),
    ("", "import keras"),
    *((first, OF_DATA.format(first=first)) for first in FIRST),
]
"""Name and lines; without a name, what the process imports before it forks for those below."""
FORKING = """
import json, os, sys, traceback
said = {}
for name, code in json.loads(sys.argv[1]):
    assert not any(module.startswith('tl_keras') for module in sys.modules)
    if not name:
        exec(code)
        continue
    reading, writing = os.pipe()
    if not os.fork():
        error = ''
        try:
            exec(code, {})
        except BaseException:
            error = traceback.format_exc()
        with open(writing, 'w') as file:
            file.write(error)
        os._exit(0)
    os.close(writing)
    with open(reading) as file:
        said[name] = file.read()
    if os.wait()[1]:
        said[name] += 'it crashed'
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """Return what running the lines of each case says that is an error."""
    command = [sys.executable, "-c", FORKING, json.dumps(CASES)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", PACKAGES)
def test_importing_does_not_import_tensorflow_nor_switch_routing_on(name, said):
    assert said[name] == ""


def test_stacking_domains_does_not_import_tensorflow(said):
    assert said["stacking"] == ""


@pytest.mark.parametrize("first", FIRST)
def test_the_other_names_of_data_are_there_whatever_is_imported_first(first, said):
    assert said[first] == ""
