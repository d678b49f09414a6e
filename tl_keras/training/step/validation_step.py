"""The step that measures losses and metrics and changes nothing."""

from typing import Any

from tl_keras.objectives import Supervised
from tl_keras.training.plan import RunPlan
from tl_keras.training.step.batch_means import measured_on
from tl_keras.training.step.domain_pass import ForwardPass, domain_pass, global_counts
from tl_keras.training.step.train_step import Step, over_replicas, weighted_losses


def make_validation_step(plan: RunPlan, element_spec: Any, forward: ForwardPass) -> Step:
    """Return the compiled step that measures losses and metrics and changes nothing.

    Only objectives that are made for it are measured; where there is none, the supervised one.
    Their weights are those at the end of the stage, or 1 where all of these are 0.

    Args:
        plan: Of the run.
        element_spec: Spec of the distributed dataset's `(x, y)`, dicts by domain.
        forward: Function of `(x, training)` to a `Forward`.
    """
    measured = [one for one in plan.objectives if one.validates] or [Supervised()]

    def replica_step(x, y, stop):
        counts = global_counts(x, y)
        batch = domain_pass(plan.model, forward, x, y, counts)
        losses = weighted_losses(measured, batch, never_nothing=True)
        sums = measured_on(measured, batch, losses, plan.replicas)
        return over_replicas(sums, counts, stop)

    return Step(plan.strategy, replica_step, element_spec)
