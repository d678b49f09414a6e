"""Drawings of emoji by two hands: a pair of domains for a network that knows photographs.

Apple's and Facebook's drawings come as npm packages, which `npm pack` fetches into
`benchmarks/packages`. The class is the category of the emoji. A seed decides which emoji the source
has; the target has the others, so that no drawing has its counterpart in the other domain.
"""

import functools
import hashlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile

import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split

from benchmarks.digits import TEST_SHARE, Pair

PACKAGES = pathlib.Path(__file__).parent / "packages"
VERSION = "16.0.0"
DIGESTS = {
    "apple": "b34d1665e136f163b0d4433318df151895b785186e8c729b2211b43017945075",
    "facebook": "017038cf5a4e7fcf03dd9133cbed43d4c281c4b3ce7b927c7160261b92b8821e",
}
SIZE = 64
CATEGORIES = (
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
    "Flags",
)


def drawings_pair(seed: int, limit: int | None = None) -> Pair:
    """Return Apple's drawings of one half of the emoji and Facebook's of the other.

    Args:
        seed: Of the halves, and of the target's test images.
        limit: Most emoji of each half.
    """
    apple, facebook = drawings("apple"), drawings("facebook")
    names = sorted(set(apple) & set(facebook))
    labels = [apple[name][1] for name in names]
    halves = train_test_split(names, test_size=0.5, stratify=labels, random_state=seed)
    source = _stacked(apple, halves[0][:limit])
    x, y = _stacked(facebook, halves[1][:limit])
    x, test_x, y, test_y = train_test_split(
        x, y, test_size=TEST_SHARE, stratify=y, random_state=seed
    )
    return Pair(source, (x, y), (test_x, test_y))


@functools.cache
def drawings(vendor: str) -> dict[str, tuple[np.ndarray, int]]:
    """Return name → drawing on white, uint8 `(64, 64, 3)`, and number of its category."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(_package(vendor))) as archive:
        table = json.load(archive.extractfile("package/emoji.json"))
        for emoji in table:
            if emoji["category"] in CATEGORIES and emoji[f"has_img_{vendor}"]:
                member = f"package/img/{vendor}/{SIZE}/{emoji['image']}"
                pixels = _on_white(archive.extractfile(member).read())
                found[emoji["unified"]] = pixels, CATEGORIES.index(emoji["category"])
    return found


def _package(vendor: str) -> bytes:
    name = f"emoji-datasource-{vendor}"
    path = PACKAGES / f"{name}-{VERSION}.tgz"
    if not path.exists():
        PACKAGES.mkdir(exist_ok=True)
        try:
            subprocess.run(
                ["npm", "pack", "--silent", f"{name}@{VERSION}"],
                cwd=PACKAGES,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"{name}@{VERSION} could not be fetched with npm: {error}")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != DIGESTS[vendor]:
        sys.exit(f"{path} is not the version of the data that is expected; delete it")
    return content


def _on_white(content: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    pixels = Image.alpha_composite(white, image).convert("RGB").resize((SIZE, SIZE))
    return np.asarray(pixels)


def _stacked(found: dict, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    images = np.stack([found[name][0] for name in names])
    return images, np.array([found[name][1] for name in names], np.int64)
