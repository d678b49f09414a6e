"""What is measured on the validation data after each epoch of a stage."""

from tl_keras.data.read_errors import SameCount, elements_of
from tl_keras.training.distributed.agreement import several_workers
from tl_keras.training.interrupts import StopSignals
from tl_keras.training.plan import RunPlan
from tl_keras.training.run_callbacks import RunCallbacks
from tl_keras.training.stage_data import StageData
from tl_keras.training.step.means import Totals
from tl_keras.training.step.validation_outputs import OwnMetrics
from tl_keras.training.step.validation_step import make_validation_step


class StageValidation:
    """Measures losses and metrics on validation data.

    Args:
        plan: Of the run.
        data: What the stage reads; it has validation data.
        callbacks: The run's.
        signals: Says whether the run was asked to stop.
        count: Compares how many examples each validation has, over all stages.
    """

    def __init__(
        self,
        plan: RunPlan,
        data: StageData,
        callbacks: RunCallbacks,
        signals: StopSignals,
        count: SameCount,
    ):
        self.batches, self.hooks, self.signals, self.count = (
            data.validation,
            callbacks.hooks,
            signals,
            count,
        )
        self.with_others = several_workers(plan.strategy)
        spec, forward = data.validation.element_spec, data.validation_forward
        with plan.strategy.scope():
            self.step = make_validation_step(plan, spec, forward)
            self.own = OwnMetrics(plan, spec, forward) if plan.metrics else None

    def run(self) -> dict[str, float]:
        """Measure all of the data and return the results by name, which begin with `val_`.

        Raises:
            StopAsked: If the run was asked to stop.
            InputError: If the data cannot be read, or has another length than before.
        """
        totals = Totals.zero()
        self.hooks.on_test_begin()
        batches = self.batches
        if not self.with_others:
            batches = elements_of(batches, "validation")
        for number, (x, y) in enumerate(batches):
            self.hooks.on_test_batch_begin(number)
            totals = self.step.run(x, y, totals, 0.0)
            if self.own is not None:
                self.own.add(x, y)
            self.hooks.on_test_batch_end(number)
            if not self.with_others:
                self.signals.check()
        self.count.check(int(totals.counts[2].numpy()))
        logs = totals.means(self.step.names)
        if self.own is not None:
            logs |= self.own.results()
        self.hooks.on_test_end(logs)
        return {f"val_{name}": value for name, value in logs.items()}
