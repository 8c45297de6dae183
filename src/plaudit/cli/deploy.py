"""`plaudit deploy`: a bundle to a live page on AWS, an update of one, or the step back."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plaudit.bundle.bundle import Bundle
from plaudit.cli import options as shared
from plaudit.cli.aws import account_from, account_options, columns, image_option, machine_option, python_option
from plaudit.cli.home import chosen_bundle
from plaudit.cli.terminal import give, give_json, say, track
from plaudit.errors import UsageError

if TYPE_CHECKING:
    from plaudit.places.aws.account import Account
    from plaudit.places.aws.deployment import Deployed, Pieces
    from plaudit.places.aws.images import Image
    from plaudit.places.aws.plan import Plan


KINDS = {
    "serverless": "a page before a serverless endpoint",
    "instance": "a page before a real-time endpoint",
    "async": "a page before an asynchronous endpoint",
    "function": "a page and its classifier in a function",
}


@click.command(
    "deploy",
    epilog=shared.examples(
        "plaudit deploy --to lambda --plan", "plaudit deploy bundle --to lambda --name reviews --ttl 4h",
        "plaudit deploy bundle --to sagemaker --name reviews",
        "plaudit deploy bundle --to sagemaker --instance ml.c5.large --max-instances 3",
        "plaudit deploy --name reviews --rollback",
    ),
)  # fmt: skip
@click.argument("bundle", type=shared.folder, required=False)
@click.option("--to", type=click.Choice(["sagemaker", "lambda"]), help="Where the classifier runs.")
@click.option("--name", "own", default="reviews", show_default=True, help="Name of the deployment.")
@click.option("--plan", "only_plan", is_flag=True, help="Print resources, cost and template; call nothing.")
@click.option("--rollback", is_flag=True, help="Go back to the revision before the current one.")
@click.option("--ttl", metavar="SPAN", help="Have it delete itself after 30m, 4h or 2d.")
@click.option("--memory", type=int, help="MB of a serverless endpoint, 1024 to 6144.  [default: 4096]")
@click.option("--concurrency", type=int, help="Most requests at once of a serverless endpoint.  [default: 5]")
@click.option("--instance", metavar="TYPE", help="A real-time endpoint on this instance, such as ml.c5.large.")
@click.option("--min-instances", "least", type=int, help="Fewest of them.  [default: 1, with --async 0]")
@click.option("--max-instances", "most", type=int, help="Most of them.  [default: 2]")
@click.option("--async", "asynchronous", is_flag=True, help="A queue before the endpoint; down to no instance.")
@image_option("The endpoint's image")
@click.option("--function-memory", type=int, help="MB of a function --to lambda.  [default: 1769, which are one core]")
@machine_option("The function's processor.")
@python_option("The function's Python.")
@click.option("--snapstart", is_flag=True, help="Start --to lambda from a snapshot: faster, and billed while idle.")
@click.option("--rate", default=10, show_default=True, help="Requests a second that the public API lets through.")
@click.option("--burst", default=20, show_default=True, help="Requests at once that it lets through.")
@click.option("--origin", "origins", multiple=True, help="Pages of others that may call the API.  [default: *]")
@click.option(
    "--budget",
    default=10.0,
    show_default=True,
    help="US dollars a month for the account's SageMaker, Lambda and API Gateway; an alarm at 80 %.",
)
@click.option("--email", metavar="ADDRESS", help="Who gets the alarms.")
@click.option("--log-days", default=14, show_default=True, help="Days that logs are kept.")
@click.option("--check/--no-check", default=True, show_default=True, help="Ask the page for a verdict at the end.")
@click.option("--json", "as_json", is_flag=True, help="Print the deployment, or the plan, as JSON.")
@account_options
def command(
    bundle: Path | None, own: str, only_plan: bool, rollback: bool, image: str | None, check: bool, as_json: bool,
    region: str | None, profile: str | None, **options: Any,
) -> None:  # fmt: skip
    """Put a bundle on AWS: a page and a public API before a classifier, as one CloudFormation stack.

    --to lambda puts the classifier into a function: no endpoint bills while nobody uses it. --to sagemaker puts it
    behind an endpoint: serverless, or with --instance in real time, or with --async a queue.

    The same command with another bundle swaps the model behind the same address, and goes back by itself where the
    new one fails. plaudit down NAME takes everything back.
    """
    given = _given(click.get_current_context())
    if rollback and (extra := sorted(given - {"own", "rollback", "check", "as_json", "region", "profile"})):
        raise UsageError(f"--rollback takes the revision as it was: leave {', '.join(map(_flag, extra))} out")
    account = account_from(region, profile, planning=only_plan)
    ask = _asked if check else None
    if rollback:
        _tell(_deployment(account, own).rollback(ask), account, as_json)
        return
    plan = _plan(account, own, options)
    _refuse_idle_flags(plan, given)
    chosen = _image(image, plan)
    if only_plan:
        if bundle:
            Bundle.load(bundle)
        _show_plan(plan, chosen, as_json)
        return
    found = Bundle.load(chosen_bundle(bundle))
    say(f"account   {account.id} in {account.region}")
    if not plan.has_budget:
        say(f"          CloudFormation has no budgets in {plan.region}: this deployment gets none")
    with tempfile.TemporaryDirectory() as folder:
        pieces = _pieces(found, plan, chosen, Path(folder))
        deployed = _deployment(account, own).deploy(plan, pieces, ask)
    _tell(deployed, account, as_json)


MEANT_FOR = {
    "memory": ("serverless",), "concurrency": ("serverless",), "function_memory": ("function",),
    "least": ("instance", "async"), "most": ("instance", "async"),
}  # fmt: skip
"""Flags that only some kinds of deployment have a use for."""


def _given(context: click.Context) -> set[str]:
    """The names of the options and arguments that were typed."""
    return {
        name for name in context.params if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }


def _flag(name: str) -> str:
    """An option as it is typed, by its name here."""
    (option,) = (option for option in command.params if option.name == name)
    return option.opts[0] if option.opts[0].startswith("-") else option.opts[0].upper()


def _refuse_idle_flags(plan: Plan, given: set[str]) -> None:
    for name in sorted(given & MEANT_FOR.keys()):
        if plan.kind not in MEANT_FOR[name]:
            kinds = " or ".join(KINDS[kind] for kind in MEANT_FOR[name])
            raise UsageError(f"{_flag(name)} is for {kinds}; this is {KINDS[plan.kind]}")


def _asked(page: str) -> None:
    from plaudit.places.aws.deployment import check

    check(page, say)


def _deployment(account: Account, own: str) -> Any:
    from plaudit.places.aws.deployment import Deployment, Watch
    from plaudit.places.aws.names import Name

    return Deployment(account, Name(own), Watch(say, track))


def _plan(account: Account, own: str, options: dict[str, Any]) -> Plan:
    from plaudit.places.aws.names import Name
    from plaudit.places.aws.parts import Target
    from plaudit.places.aws.plan import Plan, duration

    if options["to"] is None:
        raise UsageError("say where: --to lambda (no endpoint that bills while idle) or --to sagemaker (an endpoint)")
    ttl = options.pop("ttl")
    options = {name: value for name, value in options.items() if value is not None}
    return Plan(
        Name(own),
        account.region,
        least=options.pop("least", int(not options["asynchronous"])),
        target=Target(options.pop("python"), options.pop("machine")),
        origins=options.pop("origins") or ("*",),
        ttl=duration(ttl) if ttl else None,
        **options,
    )


def _image(named: str | None, plan: Plan) -> Image | None:
    """The endpoint's image. Raises UsageError for one that is patched no more, unless it was named."""
    from plaudit.places.aws.images import choose

    if plan.to == "lambda":
        if named:
            raise UsageError("--image is for --to sagemaker: a function has none")
        return None
    image = choose("serve", "cpu", named)
    if warning := image.warning(date.today()):
        say(f"warning   {warning}")
    return image


def _pieces(bundle: Bundle, plan: Plan, image: Image | None, folder: Path) -> Pieces:
    """The function's zip, and for an endpoint the archive, gathered in ``folder``."""
    from plaudit.places.aws import archive, function_zip
    from plaudit.places.aws.deployment import Pieces
    from plaudit.places.aws.limits import shown
    from plaudit.places.aws.parts import Target

    assert bundle.path is not None
    say("parts     gathering what runs on AWS")
    inside = bundle.path if plan.to == "lambda" else None
    built = function_zip.build(folder / "function.zip", inside, bundle.card, plan.target, track)
    say(f"          the function has {shown(built.unzipped)} unzipped, {shown(built.zipped)} to send")
    if not built.compiled:
        python = plan.target.python
        say(f"          no Python {python} here to compile it: its first answers take half a second longer")
    if plan.to == "lambda":
        return Pieces(built.path, about=bundle.card.name)
    python = image.python if image and image.python else Target.python
    archive.pack(bundle.path, folder / "model.tar.gz", Target(python), track=track)
    return Pieces(built.path, folder / "model.tar.gz", image, bundle.card.name)


def _tell(deployed: Deployed, account: Account, as_json: bool) -> None:
    if as_json:
        give_json({**asdict(deployed), "region": account.region})
        return
    if not deployed.changed:
        say(f"{deployed.name} is as it was: nothing had to change")
    if ends := deployed.outputs.get("Ends"):
        say(f"ends      {ends}: the stack deletes itself then")
    say(f"revision  {deployed.revision} of {deployed.name}: {KINDS[deployed.kind]} in {account.region}")
    give(deployed.page)
    say(f"next:     plaudit status {deployed.name}   what is there, and what it costs")
    say(f"          plaudit down {deployed.name}     takes everything back")


def _show_plan(plan: Plan, image: Image | None, as_json: bool) -> None:
    from plaudit.places.aws.base import base_template
    from plaudit.places.aws.cost import estimate
    from plaudit.places.aws.images import repository, uri
    from plaudit.places.aws.names import ACCOUNT_PLACEHOLDER, bucket_name
    from plaudit.places.aws.plan import Parts
    from plaudit.places.aws.prices import AS_OF, dollars
    from plaudit.places.aws.template import deployment_template

    # The account's number would take a call: the names that hold it say so.
    parts = Parts(
        bucket=bucket_name(ACCOUNT_PLACEHOLDER, plan.region),
        function=f"{plan.name.prefix}function/digest.zip",
        archive=f"{plan.name.prefix}archive/digest.tar.gz",
        image=uri(image, plan.region) if image else "",
        image_repository=repository(image, plan.region),
        reaper_role=f"arn:aws:iam::{ACCOUNT_PLACEHOLDER}:role/plaudit/{plan.region}/plaudit-base-ReaperRole",
        ends=datetime.now(UTC) + plan.ttl if plan.ttl else None,
    )
    template, shared_template = deployment_template(plan, parts), base_template(False, plan.ttl is not None)
    cost = estimate(plan)
    if as_json:
        lines = [asdict(line) for line in cost.lines]
        found = {"idle_a_month": cost.idle, "a_million_reviews": cost.million, "lines": lines, "prices_of": AS_OF}
        give_json({"template": template, "base_template": shared_template, "cost": found})
        return
    give("template")
    give_json(template)
    for title, document in ((plan.name.full, template), ("plaudit-base, shared", shared_template)):
        give(f"\nstack {title}")
        for line in columns((f"  {name}", entry["Type"]) for name, entry in document["Resources"].items()):
            give(line)

    def shown(amount: float | None) -> str:
        return "unknown" if amount is None else dollars(round(amount, 4))

    give(f"\ncost in US dollars, at list prices of us-east-1 in {AS_OF}, no free tier counted")
    rows = [("", "idle, a month", "a million reviews")]
    rows += [(f"  {line.item}", shown(line.idle), shown(line.million)) for line in cost.lines]
    rows.append(("  together", shown(cost.idle), shown(cost.million)))
    for line in columns(rows):
        give(line)
    say("\nnothing was called; without --plan this is deployed")
