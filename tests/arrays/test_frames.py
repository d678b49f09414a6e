import functools
import inspect

import numpy as np
import pytest
import scipy.sparse
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tl_keras as tl
from tl_keras import InputError
from tl_keras.arrays import LabelledOnly, stack_domains

pandas = pytest.importorskip("pandas", reason="pip install pandas")

COLUMNS = ["age", "pressure", "sex"]


def patients(seed, n=40, shift=0.0):
    random = np.random.default_rng(seed)
    table = pandas.DataFrame(
        {
            "age": random.normal(50 + shift, 10, n),
            "pressure": random.normal(120, 15, n),
            "sex": random.choice(["f", "m"], n),
        },
        index=random.permutation(n),
    )
    return table, np.where(table["age"] > 50 + shift, "ill", "well")


@pytest.fixture(scope="module")
def sites():
    (source, labels), (target, answers) = patients(0), patients(1, shift=8.0)
    return source, labels, target, answers


def test_columns_are_matched_by_name_not_by_place(sites):
    source, labels, target, _ = sites
    X, y, domain = stack_domains(source=(source, labels), target=(target[COLUMNS[::-1]], None))
    expected = pandas.concat([source, target])[COLUMNS]
    assert list(X.columns) == COLUMNS
    assert X.index.tolist() == list(range(80))
    assert X.to_numpy().tolist() == expected.to_numpy().tolist()
    assert X["age"].dtype == np.float64
    assert y.tolist() == [*labels, *[None] * 40]
    assert domain.tolist() == ["source"] * 40 + ["target"] * 40


def test_a_table_of_another_library_is_matched_too():
    polars = pytest.importorskip("polars")
    tables = polars.DataFrame({"a": [1.0], "b": [2.0]}), polars.DataFrame({"b": [4.0], "a": [3.0]})
    X, *_ = stack_domains(source=(tables[0], [0]), target=(tables[1], None))
    assert X.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (["age", "pressure", "Sex"], "only 'target' has 'Sex'; only 'source' has 'sex'; rename"),
        (["age", "pressure"], "only 'source' has 'sex'; rename or select columns until"),
        ([*COLUMNS, "site"], "columns of 'source'; only 'target' has 'site'; rename"),
    ],
)
def test_other_names_are_refused(other, text):
    source = pandas.DataFrame(np.zeros((2, 3)), columns=COLUMNS)
    target = pandas.DataFrame(np.zeros((2, len(other))), columns=other)
    with pytest.raises(InputError, match=text):
        stack_domains(source=(source, [0, 1]), target=(target, None))


@pytest.mark.parametrize("columns", [None, ["a", "a"]])
def test_tables_without_names_of_their_own_are_arrays(columns):
    table = pandas.DataFrame([[1.0, 2.0]], columns=columns)
    X, *_ = stack_domains(source=(table, [0]), target=(table, None))
    assert isinstance(X, np.ndarray)
    assert X.tolist() == [[1, 2], [1, 2]]


def test_a_table_beside_an_array_is_an_array(sites):
    source = sites[0][["age", "pressure"]]
    X, *_ = stack_domains(source=(source, sites[1]), target=(np.zeros((1, 2)), None))
    assert X.dtype == np.float64
    assert X.tolist() == [*source.to_numpy().tolist(), [0, 0]]
    X, *_ = stack_domains(
        source=(source, sites[1]), target=(scipy.sparse.csr_matrix([[0.0, 1.0]]), None)
    )
    assert X.toarray().tolist() == [*source.to_numpy().tolist(), [0, 1]]


@pytest.mark.filterwarnings("error:X has feature names")
def test_columns_keep_names_and_types_for_pipelines_and_searches(sites):
    source, labels, target, answers = sites
    X, y, domain = stack_domains(source=(source, labels), target=(target, None))
    columns = make_column_transformer(
        (StandardScaler(), ["age", "pressure"]), (OneHotEncoder(), ["sex"])
    )
    pipeline = make_pipeline(columns, tl.features.CORAL(), LabelledOnly(LogisticRegression()))
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline.fit(X, y, domain=domain)
    assert pipeline.score(target, answers) > 0.6
    search = GridSearchCV(
        pipeline,
        {"coral__ridge": [0.1, 1.0]},
        cv=tl.validation.DomainSplit(2, random_state=0),
        scoring=tl.validation.reverse_validation(),
    )
    tl.validation.fit_search(search, X, y, domain=domain)
    assert search.predict(target[COLUMNS[::-1]]).tolist() == search.predict(target).tolist()


@pytest.mark.parametrize("name", tl.divergences.__all__)
def test_divergences_match_columns_by_name(name):
    random = np.random.default_rng(0)
    source = pandas.DataFrame(random.normal([0, 50], size=(12, 2)), columns=["a", "b"])
    target = pandas.DataFrame(random.normal([0, 50], size=(12, 2)), columns=["a", "b"])
    measure = getattr(tl.divergences, name)
    if "random_state" in inspect.signature(measure).parameters:
        measure = functools.partial(measure, random_state=0)
    assert measure(source, target[["b", "a"]]) == measure(source.to_numpy(), target.to_numpy())
    with pytest.raises(InputError, match="target: expected the columns of 'source'; only 'target'"):
        measure(source, target.rename(columns={"b": "c"}))
