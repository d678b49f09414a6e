"""The options of `tl-keras train` for the data."""

from pathlib import Path
from typing import Annotated

import typer

from tl_keras.cli.choices import Augmentation, OnProblem

DATA = "Data"

Data = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="Folder with a subfolder per class, or a CSV file: path,label."
    ),
]

PixelRange = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH",
        help="Darkest and brightest value of images of more than 8 bits, such as 0 4095.",
        rich_help_panel=DATA,
    ),
]

Validation = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Validation images of their own, laid out as DIR.", rich_help_panel=DATA
    ),
]

Test = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Test images of their own, laid out as DIR.", rich_help_panel=DATA
    ),
]

ValidationSplit = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=0.99,
        help="Share of images; by default 0.15, and 0 with --validation.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]

TestSplit = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=0.99,
        help="Share of images; by default 0.15, and 0 with --test.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]

BrokenFiles = Annotated[
    OnProblem, typer.Option(help="What to do with broken files.", rich_help_panel=DATA)
]

Augment = Annotated[
    list[Augmentation],
    typer.Option(
        help="Random changes while training; can be given several times.", rich_help_panel=DATA
    ),
]

Views = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="K",
        help="Keep K augmented views of each image as features of the frozen layers; 0: a new one "
        "in every epoch.",
        rich_help_panel=DATA,
    ),
]
