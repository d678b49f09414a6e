"""What a run's objectives make when it begins, and what of it the directory keeps."""

from collections.abc import Mapping, Sequence

import numpy as np

from tl_keras.objectives import Objective, Setup
from tl_keras.training.plan import RunPlan
from tl_keras.utils.errors import InputError


def begin_objectives(plan: RunPlan) -> None:
    """Let every objective make what it trains or remembers."""
    setup = Setup(plan.model, tuple(plan.train), plan.learned(), plan.settings.seed)
    for objective in plan.objectives:
        objective.begin(setup)


def objective_arrays(objectives: Sequence[Objective]) -> dict[str, np.ndarray]:
    """Return the objectives' own variables, by objective and position."""
    return {
        f"{objective.name}/{index:03}": variable.numpy()
        for objective in objectives
        for index, variable in enumerate(objective.variables())
    }


def restore_objectives(objectives: Sequence[Objective], arrays: Mapping[str, np.ndarray]) -> None:
    """Set the objectives' own variables, once they have begun, to what `objective_arrays` gave."""
    wanted = objective_arrays(objectives)
    shapes, found = ({k: a.shape for k, a in one.items()} for one in (wanted, arrays))
    if shapes != found:
        strange = sorted(k for k in shapes | found if shapes.get(k) != found.get(k))[0]
        raise InputError(
            f"output: what the objectives trained there does not fit those asked for ({strange}: "
            f"{found.get(strange)} there, {shapes.get(strange)} here). Choose another directory."
        )
    for objective in objectives:
        for index, variable in enumerate(objective.variables()):
            variable.assign(arrays[f"{objective.name}/{index:03}"])
