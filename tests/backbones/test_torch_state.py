"""The reader of PyTorch files; `tools/torture/pth.py` gives it files that mean harm."""

import numpy as np
import pytest

from tl_keras.backbones.torch_state import read_state_dict
from tl_keras.utils.errors import InputError
from tools.torture.hostile_pickles import ALLOWED, program
from tools.torture.hostile_pth import cases
from tools.torture.pickle_bytes import call, dict_of, integer, name, storage, tensor, text, tuple_of
from tools.torture.zip_bytes import Entry, zip_bytes


def write(path, state, numbers=b"", folder="x"):
    entries = [Entry(f"{folder}/data.pkl", state), Entry(f"{folder}/data/0", numbers)]
    path.write_bytes(zip_bytes(entries))
    return path


def test_corpus():
    names = [name for name, _ in cases(1)]
    assert len(set(names)) == len(names) > 1000
    assert names != [name for name, _ in cases(0)]
    assert ALLOWED & {name.split("/")[2] for name in names if "/forbidden/" in name} == set()


REFUSED = {
    "BUILD of a number type": (
        name("torch.FloatStorage") + dict_of([(text("dtype"), integer(7))]) + b"b",
        "holds something else where a dict belongs;",
    ),
    "deep": (b")" + b"\x85" * 200_000, "holds values nested more than 16 deep;"),
    "numbers as keys": (dict_of([(integer(3), tensor())]), "keys that are not names, as an opti"),
    "checkpoint": (dict_of([(text("model"), dict_of([]))]), r"under 'model';.*checkpoint\[name\]"),
    "an epoch": (dict_of([(text("epoch"), integer(3))]), "holds an int under 'epoch';"),
    "bfloat16": (name("torch.BFloat16Storage"), r"holds torch.BFloat16Storage;.*model.float\(\)"),
    "an instruction": (b"N" + b"0", "holds the pickle instruction POP;"),
    "escapes": (name("os.\x1b[2J"), r"holds os\.\\x1b\[2J;"),
    "long name": (dict_of([(text("a" * 2000), tensor())]), "the name 'a{60}…';"),
    "outside": (dict_of([(text("a"), tensor(offset=integer(1)))]), "reaches outside its storage;"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_says_what_is_refused(tmp_path, case):
    value, message = REFUSED[case]
    path = write(tmp_path / "x.pth", program(value), bytes(24))
    with pytest.raises(InputError, match=f"^weights: .*x.pth' is refused, .*{message}"):
        read_state_dict(path)


def test_storages_have_the_length_that_is_announced(tmp_path):
    state = program(dict_of([(text("a"), tensor())]))
    assert list(read_state_dict(write(tmp_path / "x.pth", state, bytes(24)))) == ["a"]
    for size in (0, 23, 25, 48):
        with pytest.raises(InputError, match=r"another length than announced\)\. It may be dam"):
            read_state_dict(write(tmp_path / "x.pth", state, bytes(size)))


def test_views_of_one_storage_are_bounded_by_the_file(tmp_path):
    whole = storage(count=integer(10_000))
    view = tensor(tuple_of(integer(10_000)), tuple_of(integer(1)), numbers=whole)
    for count in (1, 7):
        state = program(dict_of([(text(str(n)), view) for n in range(count)]))
        read = read_state_dict(write(tmp_path / "x.pth", state, bytes(40_000)))
        assert not any(np.shares_memory(read["0"], read[name]) for name in list(read)[1:])
    state = program(dict_of([(text(str(n)), view) for n in range(12)]))
    with pytest.raises(InputError, match="holds tensors of 480,000 bytes in a file of 4"):
        read_state_dict(write(tmp_path / "x.pth", state, bytes(40_000)))


def test_reads_what_other_versions_write(tmp_path):
    """Attributes of state dicts, Python 2, protocol 1 and protocol 4."""
    numbers = np.arange(6, dtype="<f4")
    metadata = dict_of([(text("_metadata"), dict_of([(text(""), dict_of([]))]))])
    first = dict_of([(text("a"), tensor())])
    old = b"]" + b"(" + b"](U\1a" + tensor() + b"e" + b"e"
    spelled = b"(" + text("storage") + text("torch") + text("FloatStorage") + b"\x93"
    spelled += text("0") + text("cpu") + b"I6\n" + b"tQ"
    axes = b"(L2L\nI3\nt", b"(L3L\nI1\nt"
    pickles = {
        "attributes": first + metadata + b"b",
        "Python 2": call("collections.OrderedDict", old),
        "protocol 1": dict_of([(text("a"), tensor(*axes))]),
        "protocol 4": b"}" + b"\x8c\x01a\x94" + tensor(numbers=spelled) + b"s",
    }
    for state in pickles.values():
        read = read_state_dict(write(tmp_path / "x.pth", program(state), numbers.tobytes()))
        np.testing.assert_array_equal(read["a"], numbers.reshape(2, 3))
    entries = [Entry("x/data.pkl", program(first)), Entry("x/data/0", numbers.tobytes())]
    (tmp_path / "wide.pth").write_bytes(zip_bytes(entries, wide={}))
    np.testing.assert_array_equal(read_state_dict(tmp_path / "wide.pth")["a"].ravel(), numbers)


def test_number_types_and_truth_values(tmp_path):
    kinds = {"Half": "<f2", "Double": "<f8", "Long": "<i8", "Short": "<i2", "Char": "|i1"}
    for kind, code in kinds.items():
        numbers = np.arange(6).astype(code)
        kept = storage(kind=name(f"torch.{kind}Storage"))
        state = program(dict_of([(text("a"), tensor(numbers=kept))]))
        read = read_state_dict(write(tmp_path / "x.pth", state, numbers.tobytes()))["a"]
        assert read.dtype == np.dtype(code)
        np.testing.assert_array_equal(read.ravel(), numbers)
    kept = storage(kind=name("torch.BoolStorage"))
    state = program(dict_of([(text("a"), tensor(numbers=kept))]))
    read = read_state_dict(write(tmp_path / "x.pth", state, b"\0\1\2\xff\0\1"))["a"]
    assert read.view("u1").ravel().tolist() == [0, 1, 1, 1, 0, 1]
