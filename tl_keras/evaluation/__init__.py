"""How good a model is: metrics, reports and comparisons."""

from tl_keras.evaluation.compare import compare
from tl_keras.evaluation.comparison import Comparison
from tl_keras.evaluation.evaluate import evaluate
from tl_keras.evaluation.report import Report
from tl_keras.evaluation.task_reports import TaskReports

__all__ = ["Comparison", "Report", "TaskReports", "compare", "evaluate"]
