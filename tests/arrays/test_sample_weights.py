import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingClassifier, VotingClassifier, VotingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tl_keras import InputError
from tl_keras.arrays.sample_weights import fit_weighted, weight_parameter

LEARNER = LogisticRegression(C=0.1)
X = np.random.default_rng(0).normal(size=(60, 2))
Y = (X[:, 0] + 0.5 * X[:, 1] > 0).astype(int)
# Weights of 1 and 3: the same as samples that are there once and three times.
WEIGHTS = np.where(X[:, 1] > 0, 3.0, 1.0)


@pytest.mark.parametrize(
    "estimator",
    [
        LEARNER,
        make_pipeline(LEARNER),
        GridSearchCV(LEARNER, {"C": [0.1]}, cv=2),
        VotingClassifier([("one", LEARNER), ("other", "drop")], voting="soft"),
        VotingRegressor([("one", Ridge()), ("two", Ridge(2.0))]),
        TransformedTargetRegressor(Ridge(), func=np.expm1, inverse_func=np.log1p),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_weights_are_counts(estimator):
    def fitted(rows, weights):
        parameter = weight_parameter(estimator)
        model = fit_weighted(estimator, parameter, X[rows], Y[rows], weights)
        return getattr(model, "predict_proba", model.predict)(X)

    weighted = fitted(np.arange(60), WEIGHTS)
    repeated = fitted(np.repeat(np.arange(60), WEIGHTS.astype(int)), np.ones(int(WEIGHTS.sum())))
    np.testing.assert_allclose(weighted, repeated, rtol=1e-3)


def test_stacking_takes_weights_where_all_of_its_parts_do():
    parts = [("one", LEARNER), ("two", make_pipeline(StandardScaler(), LEARNER))]
    assert weight_parameter(StackingClassifier(parts[:1])) == "sample_weight"
    for refused in (
        StackingClassifier([*parts[:1], ("k", KNeighborsClassifier())]),
        StackingClassifier(parts[:1], final_estimator=KNeighborsClassifier()),
        VotingClassifier([("k", KNeighborsClassifier())]),
    ):
        with pytest.raises(InputError, match="whose fit takes sample_weight"):
            weight_parameter(refused)
