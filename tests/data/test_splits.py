import numpy as np
import pytest

from tl_keras.data.files.splits import check_split, stratified_split


@pytest.mark.parametrize("fractions", [(0.7, 0.15, 0.15), (0.5, 0.2), (1.0,), (1 / 3,) * 3])
@pytest.mark.parametrize("seed", range(3))
def test_parts_have_every_class_in_its_proportion(fractions, seed):
    counts = np.random.default_rng(seed).integers(len(fractions), 60, 7)
    labels = np.repeat(np.arange(7), counts)
    names = [f"{label}/{row}" for row, label in enumerate(labels)]
    parts = stratified_split(names, labels, check_split(fractions), seed)
    joined = np.concatenate(parts)
    assert len(np.unique(joined)) == len(joined)
    if sum(fractions) > 0.999:
        assert len(joined) == len(labels)
    for part, fraction in zip(parts, fractions, strict=True):
        got = np.bincount(labels[part], minlength=7)
        assert (got >= 1).all()
        assert (np.abs(got - counts * fraction) <= np.maximum(1.0, 2.0 - counts * fraction)).all()


def test_one_more_file_moves_few_others():
    names = [f"a/{row}" for row in range(100)]
    before = stratified_split(names, np.zeros(100, int), (0.7, 0.3), 0)
    after = stratified_split([*names, "a/new"], np.zeros(101, int), (0.7, 0.3), 0)
    assert len(set(before[0]) ^ set(after[0]) - {100}) <= 2


def test_scarce_classes_go_to_the_larger_parts():
    parts = stratified_split(["a", "b"], np.zeros(2, int), (0.2, 0.5, 0.3), 0)
    assert [len(part) for part in parts] == [0, 1, 1]
