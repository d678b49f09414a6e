"""Objectives: what training minimises, read from one forward pass."""

from tl_keras.objectives.alignment.ada_bn import AdaBN, adapt_batch_norm
from tl_keras.objectives.alignment.afn import AFN
from tl_keras.objectives.alignment.cdan import CDAN
from tl_keras.objectives.alignment.dann import DANN
from tl_keras.objectives.alignment.deep_coral import DeepCORAL
from tl_keras.objectives.alignment.deep_jdot import DeepJDOT
from tl_keras.objectives.alignment.gradient_reversal import GradientReversal, reverse_gradient
from tl_keras.objectives.alignment.jan import JAN
from tl_keras.objectives.alignment.mcd import MCD
from tl_keras.objectives.alignment.mdd import MDD
from tl_keras.objectives.alignment.mmd import MMD
from tl_keras.objectives.batch import Batch, Counts, DomainBatch, is_target, pooled
from tl_keras.objectives.distillation.distillation import Distillation
from tl_keras.objectives.distillation.feature_hints import FeatureHints
from tl_keras.objectives.joint import Joint
from tl_keras.objectives.multi_task import MultiTask, TaskUncertainty
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.regularization.bss import BSS
from tl_keras.objectives.regularization.co_tuning import CoTuning, learn_relationship
from tl_keras.objectives.regularization.delta import DELTA
from tl_keras.objectives.regularization.l1_sp import L1SP
from tl_keras.objectives.regularization.l2_sp import L2SP
from tl_keras.objectives.regularization.lwf import LwF
from tl_keras.objectives.self_supervised.cross_reconstruction import CrossReconstruction
from tl_keras.objectives.self_supervised.decoders import build_decoder
from tl_keras.objectives.self_supervised.reconstruction import Reconstruction
from tl_keras.objectives.self_supervised.rotation_prediction import RotationPrediction
from tl_keras.objectives.self_supervised.sim_clr import SimCLR
from tl_keras.objectives.self_supervised.vicreg import VICReg
from tl_keras.objectives.self_training.entropy_minimization import EntropyMinimization
from tl_keras.objectives.self_training.fix_match import FixMatch
from tl_keras.objectives.self_training.mcc import MCC
from tl_keras.objectives.self_training.mean_teacher import MeanTeacher
from tl_keras.objectives.self_training.pseudo_label import PseudoLabel
from tl_keras.objectives.self_training.self_training import SelfTraining
from tl_keras.objectives.supervised import Supervised
from tl_keras.objectives.weights import Constant, Linear, Ramp

__all__ = [
    "AFN",
    "BSS",
    "CDAN",
    "DANN",
    "DELTA",
    "JAN",
    "L1SP",
    "L2SP",
    "MCC",
    "MCD",
    "MDD",
    "MMD",
    "AdaBN",
    "Batch",
    "CoTuning",
    "Constant",
    "Counts",
    "CrossReconstruction",
    "DeepCORAL",
    "DeepJDOT",
    "Distillation",
    "DomainBatch",
    "EntropyMinimization",
    "FeatureHints",
    "FixMatch",
    "GradientReversal",
    "Joint",
    "Linear",
    "LwF",
    "MeanTeacher",
    "MultiTask",
    "Objective",
    "PseudoLabel",
    "Ramp",
    "Reconstruction",
    "RotationPrediction",
    "SelfTraining",
    "Setup",
    "SimCLR",
    "Supervised",
    "TaskUncertainty",
    "VICReg",
    "adapt_batch_norm",
    "build_decoder",
    "is_target",
    "learn_relationship",
    "pooled",
    "reverse_gradient",
]
