"""Tweets with a mood, by what they are about."""

import numpy as np


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
