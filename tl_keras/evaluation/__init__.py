"""How good a model is: metrics, reports and comparisons, with labels and without."""

from tl_keras.evaluation.adaptation_choice import (
    AdaptationChoice,
    AdaptationScore,
    choose_adapted,
)
from tl_keras.evaluation.adaptation_scores import AdaptationScores, adaptation_scores
from tl_keras.evaluation.compare import compare
from tl_keras.evaluation.comparison import Comparison
from tl_keras.evaluation.evaluate import evaluate
from tl_keras.evaluation.few_shot import FewShotReport, few_shot
from tl_keras.evaluation.report import Report
from tl_keras.evaluation.task_reports import TaskReports

__all__ = [
    "AdaptationChoice",
    "AdaptationScore",
    "AdaptationScores",
    "Comparison",
    "FewShotReport",
    "Report",
    "TaskReports",
    "adaptation_scores",
    "choose_adapted",
    "compare",
    "evaluate",
    "few_shot",
]
