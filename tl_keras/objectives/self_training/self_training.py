"""Self-training: what the model is sure of on the target becomes its label there."""

from typing import Any, ClassVar

from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.self_training.pseudo_label import pseudo_label_loss
from tl_keras.objectives.self_training.unlabelled import unlabelled_mean
from tl_keras.objectives.weights import RISING
from tl_keras.utils.arguments import number


class SelfTraining(Objective):
    """Learns on the target from the model's own predictions, where they are sure.

    The loss is the mean over all unlabelled target examples of
    `1[max p ≥ threshold] · (−log p_argmax)`. It sharpens what other objectives have aligned: add
    it to one of them, or use it alone where the model is mostly right from the start. Wrong
    labels that are sure of themselves stay wrong, and classes are not balanced. `PseudoLabel` is
    the same formula for data that is labelled in part: it needs no target domain, and asks for
    0.95 by default.

    Examples of a target that have a label are left to `Supervised`. Losses are means over
    examples: any number of replicas gives what one device does.

    Strength: the weight rises to 1, that of Transfer-Learning-Library at the threshold 0.9, but in
    a straight line over the stage, as in the paper, whose line ends at 3. A network that learns
    from scratch is sure of its mistakes early: with the full weight from the first steps on, they
    stay.

    Lee: *Pseudo-Label*, ICML 2013 Workshops. Zou, Yu, Kumar, Wang: *Unsupervised Domain
    Adaptation for Semantic Segmentation via Class-Balanced Self-Training*, ECCV 2018.

    Args:
        threshold: Smallest probability that makes a label, from 0 to below 1.
        weight: What the loss is multiplied by; by default `Linear(0.0, 1.0)`. A number is the end
            of a `Ramp`, which rises faster.

    Raises:
        InputError: If an argument is out of range, the model is not a classifier, or there is no
            target.
    """

    ramps: ClassVar[bool] = True

    unlabelled_only: ClassVar[bool] = True

    def __init__(self, threshold: float = 0.9, *, weight: Any = RISING):
        super().__init__(weight)
        self.threshold = number(threshold, "threshold", least=0, below=1)

    def begin(self, setup: Setup) -> None:
        """Check domains and model."""
        setup.require_targets(self)
        setup.require_classes(self)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the loss, and the share of unlabelled examples that made a label of their own."""
        target = batch.target
        values, sure = pseudo_label_loss(target.logits, target.logits, self.threshold)
        return {
            "loss": unlabelled_mean(target, values),
            "self_training_share": unlabelled_mean(target, sure),
        }
