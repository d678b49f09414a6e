"""Values that options choose from."""

import enum


class Schedule(str, enum.Enum):
    """Names of schedules."""

    auto = "auto"
    feature_extraction = "feature_extraction"
    two_stage = "two_stage"
    gradual_unfreezing = "gradual_unfreezing"
    full_fine_tuning = "full_fine_tuning"


class Strategy(str, enum.Enum):
    """Names of distribution strategies."""

    auto = "auto"
    one_device = "one_device"
    mirrored = "mirrored"
    multi_worker = "multi_worker"


class ClassWeight(str, enum.Enum):
    """How much classes count."""

    none = "none"
    balanced = "balanced"


class Augmentation(str, enum.Enum):
    """Random changes to training images."""

    horizontal_flip = "horizontal_flip"
    flips = "flips"
    randaugment = "randaugment"
    mixup = "mixup"
    cutmix = "cutmix"


class MixedPrecision(str, enum.Enum):
    """What layers compute in, with weights in float32."""

    none = "none"
    float16 = "float16"
    bfloat16 = "bfloat16"


class OnProblem(str, enum.Enum):
    """What happens with broken files."""

    skip = "skip"
    refuse = "refuse"
