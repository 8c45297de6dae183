"""`plaudit pack`: a bundle as the archive that SageMaker unpacks."""

from __future__ import annotations

from pathlib import Path

import click

from plaudit.cli import options as shared
from plaudit.cli.aws import machine_option, python_option
from plaudit.cli.home import chosen_bundle
from plaudit.cli.terminal import give, give_json, printable, say, track


@click.command("pack", epilog=shared.examples("plaudit pack bundle --out model.tar.gz", "plaudit doctor model.tar.gz"))
@click.argument("bundle", type=shared.folder, required=False)
@click.option("--out", type=shared.file, default="model.tar.gz", show_default=True, help="Archive to write.")
@python_option("Python of the image; AWS's Ray images have 3.13.")
@machine_option("Processor of the image.")
@click.option(
    "--no-wheels", is_flag=True, help="Have the image install what is needed at its start, from the internet."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was packed as JSON.")
def command(bundle: Path | None, out: Path, python: str, machine: str, no_wheels: bool, as_json: bool) -> None:
    """Pack a bundle as model.tar.gz, which answers on AWS without internet and without building an image.

    It holds the bundle, SageMaker's four handlers, a Ray Serve application over them for AWS's Ray image, Plaudit's
    code and the wheels it needs, and a Dockerfile for those who bring an image of their own. The same bundle gives
    the same bytes.
    """
    from plaudit.places.aws.archive import pack
    from plaudit.places.aws.limits import shown
    from plaudit.places.aws.parts import Target

    chosen = chosen_bundle(bundle)
    packed = pack(chosen, out, Target(python, machine), vendored=not no_wheels, track=track)
    if as_json:
        give_json(packed.to_json())
    else:
        give(printable(f"{out}   {shown(packed.size)}, {shown(packed.unpacked)} unpacked"))
        for part, size in packed.parts.items():
            give(f"  {part:<9} {shown(size):>9}   {ABOUT[part]}")
        if packed.parts["code/lib"]:
            give(f"for Python {python} on {machine}: {', '.join(f'{n} {v}' for n, v in packed.wheels.items())}")
        else:
            give("without wheels: the image installs code/requirements.txt at its start, from the internet")
    say(printable(f"next      plaudit doctor {out}"))
    say(printable(f"          plaudit deploy {chosen} --to sagemaker"))


ABOUT = {
    "bundle": "card, vocabulary, weights, network, manifest",
    "code": "handlers, Ray Serve application, Dockerfile, Plaudit's own code",
    "code/lib": "wheels, unpacked",
}
