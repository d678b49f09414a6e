"""The options of `tl-keras train` for the model and the training."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tl_keras.cli.choices import (
    ClassWeight,
    MixedPrecision,
    Schedule,
    Strategy,
)
from tl_keras.cli.output import between, patience, share_or_none

MODEL, TRAINING = "Model", "Training"

Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="RUN", help="Directory of the run.")
]

Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace the run in RUN; without it, the same command resumes."
    ),
]

Backbone = Annotated[
    str,
    typer.Option(
        help="A name from `tl-keras backbones`, keras_hub:PRESET, a .keras file, or a "
        "SavedModel (both refused if they may run code or reach files).",
        rich_help_panel=MODEL,
    ),
]

Head = Annotated[
    str, typer.Option(help="linear, mlp, attention, gem or cosine.", rich_help_panel=MODEL)
]

Weights = Annotated[
    str, typer.Option(help="imagenet, none, or a weights file.", rich_help_panel=MODEL)
]

ImageSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Height and width in pixels; by default the backbone's own.",
        rich_help_panel=MODEL,
    ),
]

ScheduleName = Annotated[Schedule, typer.Option(help="What trains when.", rich_help_panel=TRAINING)]

Epochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Epochs of each stage that trains the backbone (of the head, where no stage does).",
        rich_help_panel=TRAINING,
    ),
]

HeadEpochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Epochs of the stage that trains the head alone.",
        rich_help_panel=TRAINING,
    ),
]

BatchSize = Annotated[int, typer.Option(min=1, help="Images per update.", rich_help_panel=TRAINING)]

Seed = Annotated[
    int, typer.Option(help="Seed of the split and the training.", rich_help_panel=TRAINING)
]

ClassWeighting = Annotated[
    ClassWeight,
    typer.Option(help="balanced: rare classes count more.", rich_help_panel=TRAINING),
]

LabelSmoothing = Annotated[
    float, typer.Option(min=0, max=0.99, help="0 is none.", rich_help_panel=TRAINING)
]

Patience = int | Literal["auto"] | None
"""What the callback makes of `EarlyStopping`; typer takes no annotation of several types."""

EarlyStopping = Annotated[
    str,
    typer.Option(
        metavar="N|auto|none",
        callback=patience,
        help="End a stage after N epochs without a better validation loss. auto: where there is a "
        "validation split and auto chose the epochs, a fifth of the stage's.",
        rich_help_panel=TRAINING,
    ),
]

StrategyName = Annotated[
    Strategy,
    typer.Option(
        help="auto: the workers that TF_CONFIG names, or all GPUs if there are several.",
        rich_help_panel=TRAINING,
    ),
]

Workers = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Train in N processes on this machine, which share its cores and GPUs.",
        rich_help_panel=TRAINING,
    ),
]

Positive = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS",
        help="Of two classes, the one that precision, recall and F1 of the test report are about; "
        "by default the last.",
    ),
]

AssertAccuracyAtLeast = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        callback=share_or_none,
        help="Exit with code 1 if the test accuracy (0 to 1) is below X.",
    ),
]

ExportSavedModel = Annotated[
    bool, typer.Option("--export-saved-model", help="Also write RUN/saved_model.")
]

LearningRate = Annotated[
    float | None,
    typer.Option(
        callback=between(0),
        help="Peak learning rate of the stages that train the backbone (of the head, where no "
        "stage does).",
        rich_help_panel=TRAINING,
    ),
]

LayerDecay = Annotated[
    float,
    typer.Option(
        callback=between(0, 1, with_high=True),
        help="Factor of the learning rate from block to block, downwards, above 0; 1 is none.",
        rich_help_panel=TRAINING,
    ),
]

GlobalClipnorm = Annotated[
    float | None,
    typer.Option(
        callback=between(0),
        help="Longest gradient over all weights, above 0.",
        rich_help_panel=TRAINING,
    ),
]

EmaMomentum = Annotated[
    float | None,
    typer.Option(
        callback=between(0, 1),
        help="Keep a moving average of the weights: between 0 and 1, such as 0.99.",
        rich_help_panel=TRAINING,
    ),
]

Accumulation = Annotated[
    int,
    typer.Option(
        min=1, help="Slices that a batch is cut into, to save memory.", rich_help_panel=TRAINING
    ),
]

Precision = Annotated[
    MixedPrecision,
    typer.Option(
        help="What the backbone computes in; the head stays in float32.", rich_help_panel=TRAINING
    ),
]

Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="The same weights to the last bit in every run, slower.",
        rich_help_panel=TRAINING,
    ),
]

Tensorboard = Annotated[
    bool,
    typer.Option(
        "--tensorboard", help="Write RUN/tensorboard for TensorBoard.", rich_help_panel=TRAINING
    ),
]


def _refuse(value: str | None) -> None:
    if value is not None:
        raise typer.BadParameter(
            "--clip-norm is called --global-clipnorm, and --ema is called --ema-momentum."
        )


Renamed = Annotated[str | None, typer.Option("--clip-norm", "--ema", hidden=True, callback=_refuse)]
