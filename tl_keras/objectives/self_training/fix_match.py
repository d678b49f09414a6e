"""FixMatch: what is clear in a weakly changed image must hold in a strongly changed one."""

from typing import Any, ClassVar

from tl_keras.objectives.augmented_views import checked_view, resolve_view, strong_layers
from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.self_training.pseudo_label import check_threshold, pseudo_label_loss
from tl_keras.objectives.self_training.unlabelled import adapted, adapted_names, unlabelled_mean


class FixMatch(Objective):
    """Pseudo-labels from the weakly augmented image, learned on a strongly augmented one.

    `loss = mean 1[max q ≥ threshold] · −log softmax(strong logits)[argmax q]`,
    `q = softmax(weak logits)`, over the examples without a label of the target domains, or of all
    domains where there is no target. The usual choice for few labelled and many unlabelled images.
    Give the labelled ones as a domain of their own, `{"labelled": (x, y), "unlabelled": images}`:
    every domain then brings a whole batch.

    The weak view is the image as training sees it, that is after `fine_tune`'s `augmentation`. The
    strong view runs through the same forward pass, which grows by it.

    Args:
        threshold: Least probability of the predicted class, 0 … 1.
        strong: Keras augmentation layer or layers of the strong view, applied in order to 0–255
            images. By default zoom, shift, turn, shear, brightness, contrast and erased patches.
        weight: What the loss is multiplied by. It does not rise by itself: the threshold holds it
            back while predictions are poor.

    Raises:
        InputError: If an argument is out of range, or the model is no classifier of images with
            one task.

    Strength: the threshold 0.95 and the weight 1 are the authors'; Transfer-Learning-Library has
    0.9 and 1.

    Sohn et al.: *FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence*,
    NeurIPS 2020.
    """

    partly_labelled: ClassVar[bool] = True
    unlabelled_only: ClassVar[bool] = True

    def __init__(self, threshold: float = 0.95, strong: Any = None, *, weight: Any = 1.0):
        super().__init__(weight)
        self.threshold = check_threshold(threshold)
        self.strong = resolve_view(strong, "strong")

    def begin(self, setup: Setup) -> None:
        """Check the model and try the strong view."""
        setup.require_classes(self)
        strong = self.strong
        if strong is None:
            strong = strong_layers(setup.model.modality.shape[-1])
        self._layers = checked_view(strong, setup)
        self._names = adapted_names(setup.domains)

    def views(self) -> dict[str, Any]:
        """Return the strong view."""
        return {"fix_match_strong": (self._layers, self._names)}

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean loss and the share of confident examples."""
        weak = adapted(batch, self._names)
        strong = adapted(batch.views["fix_match_strong"], self._names)
        values, confident = pseudo_label_loss(strong.logits, weak.logits, self.threshold)
        return {
            "loss": unlabelled_mean(strong, values),
            "fix_match_confident": unlabelled_mean(strong, confident),
        }
