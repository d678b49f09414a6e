"""Which weights are decayed."""

import re

import keras

_UNDECAYED = re.compile(
    r"embeddings?|.*pos(ition(al)?)?_?(emb|enc|bias).*|rel(ative)?_pos.*"
    r"|(.*_)?(cls|class|dist|distillation|mask|register|reg)(_?tokens?)?|.*_tokens?"
    r"|gamma|beta|bias|scale|.*layer_?scale.*"
)
_POSITIONS = re.compile(r".*pos(ition(al)?)?_?(emb|enc).*")


def is_decayed(variable: keras.Variable) -> bool:
    """Return whether weight decay acts on a variable: on kernels, and on what else multiplies.

    Left out is what is added to, scaled or looked up, as in ViT, DeiT and timm: vectors (biases,
    normalisation, LayerScale), class and other tokens, embeddings of positions and of words, and
    other weights that stand for a batch of one, `(1, size)` or `(1, positions, size)`.

    Args:
        variable: Its shape, its name and those of its layers (`variable.path`) say what it is.
    """
    *layers, name = variable.path.lower().split("/")
    if len(variable.shape) < 2:
        return False
    if "kernel" in name or "weight" in name:
        return True
    if (variable.shape[0] == 1 and len(variable.shape) < 4) or _UNDECAYED.fullmatch(name):
        return False
    return not any(_POSITIONS.fullmatch(layer) for layer in layers)
