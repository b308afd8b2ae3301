"""The `medcot` command.

Belongs here: arguments, what is printed, exit statuses.
Does not belong here: anything that a function elsewhere could do.
"""

import contextlib
import gc
import json
import sys
import time
import traceback
import warnings
import webbrowser
from typing import TYPE_CHECKING, Any

import click

from medcot_pipeline.support.errors import printable
from medcot_pipeline.support.progress import duration, size_text
from medcot_pipeline.terminal.errors import error_line
from medcot_pipeline.terminal.help import EPILOG, PLAN_FIELDS, STATUS_FIELDS, complete_assets

if TYPE_CHECKING:
    from medcot_pipeline.pipeline.workspace import Workspace
    from medcot_pipeline.terminal.pages import Page
    from medcot_pipeline.terminal.status import FailedRun, UnfinishedRun

# What takes long to import, a command imports itself: --help and completion answer at once.


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True, epilog=EPILOG)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """From medical reasoning rows to a tuned model and its evaluation.

    Without a command it says where you stand, and which command comes next.
    """
    if context.invoked_subcommand is None:
        _show_standing()


@cli.command()
def init() -> None:
    """Create DAGSTER_HOME and its storage, once; mend what a crash left."""
    from medcot_pipeline.orchestration.instance.doctor import mend
    from medcot_pipeline.orchestration.instance.home import dagster_home, open_instance

    workspace = _workspace()
    with open_instance() as instance:
        for line in mend(instance, workspace.store):
            click.echo(f"mended: {line}")
    click.echo(f"Dagster home: {dagster_home()}")


@cli.command()
def env() -> None:
    """Print the exports under which the plain Dagster commands work: eval "$(medcot env)"."""
    from medcot_pipeline.orchestration.instance.home import open_instance, shell_lines

    workspace = _workspace()
    with open_instance():
        click.echo("\n".join(shell_lines(workspace.profile, workspace.data)))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help=PLAN_FIELDS)
def plan(as_json: bool) -> None:
    """Show every asset (fresh, stale and why, missing, waiting for a stale one), and what takes long."""
    from medcot_pipeline.pipeline.plan import make_plan
    from medcot_pipeline.terminal.plan import plan_json, plan_lines
    from medcot_pipeline.terminal.screen import Screen

    workspace = _workspace()
    lines = make_plan(workspace)
    if as_json:
        _show_json(plan_json(workspace, lines))
        return
    for line in plan_lines(workspace, lines, Screen.of_stdout()):
        click.echo(line)


@cli.command()
@click.option(
    "--only",
    metavar="ASSETS",
    shell_complete=complete_assets,
    help="Comma-separated assets to bring up to date, and nothing else.",
)
@click.option(
    "--force", metavar="ASSET", shell_complete=complete_assets, help="Make this asset again although it is fresh."
)
@click.option("--dry-run", is_flag=True, help="Say what would run, and stop.")
def sync(only: str | None, force: str | None, dry_run: bool) -> None:
    """Materialise what is stale or missing, and only that."""
    from medcot_pipeline.table import GRAPH

    wanted = {GRAPH.stage(name).asset for name in only.split(",")} if only else set(GRAPH.assets)
    forced = {GRAPH.stage(force).asset} if force else set()
    wanted |= forced
    from medcot_pipeline.orchestration.instance.doctor import mend
    from medcot_pipeline.orchestration.instance.home import open_instance
    from medcot_pipeline.orchestration.instance.passes import run_assets, unknown_to_dagster
    from medcot_pipeline.pipeline.plan import make_plan
    from medcot_pipeline.terminal.pages import report_page
    from medcot_pipeline.terminal.plan import passed_over_lines

    started = time.monotonic()
    workspace = _workspace()
    with open_instance() as instance:
        if not dry_run:
            for line in mend(instance, workspace.store):
                click.echo(f"mended: {line}")
        stale = {line.asset for line in make_plan(workspace) if line.status != "fresh"}
        stale |= unknown_to_dagster(instance, workspace)
        stale |= forced
        chosen = GRAPH.in_order(GRAPH.downstream(stale) & wanted)
        if "raw_medical_o1" not in chosen:  # which says it itself
            for line in passed_over_lines(workspace):
                click.echo(line)
        if not chosen:
            click.echo("Everything is fresh.")
        elif dry_run:
            click.echo("\n".join(f"would materialise {asset}" for asset in chosen))
            return
        else:
            click.echo(f"Profile {workspace.profile}: materialising {', '.join(chosen)}")
            run_assets(instance, chosen, force)
            click.echo(f"Done in {duration(time.monotonic() - started)}.")
    report = report_page(workspace)
    if report.is_file():
        click.echo(f"Report: {report}")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help=STATUS_FIELDS)
def status(as_json: bool) -> None:
    """Show what is current and promoted, what runs, who holds the GPU, what failed last, and the disk used."""
    from medcot_pipeline.orchestration.instance.home import open_instance
    from medcot_pipeline.orchestration.instance.status import status_of
    from medcot_pipeline.terminal.screen import Screen
    from medcot_pipeline.terminal.status import status_json, status_lines

    workspace = _workspace()
    with open_instance() as instance:
        found = status_of(workspace, instance)
    if as_json:
        _show_json(status_json(found))
    else:
        click.echo("\n".join(status_lines(found, Screen.of_stdout())))


@cli.command("open")
@click.argument("page", type=click.Choice(["report", "review", "dagster"]), default="report")
def open_page(page: "Page") -> None:
    """Open the report, the review page or Dagster's page in the browser, and print where it is."""
    from medcot_pipeline.terminal.pages import find_page

    said, address = find_page(_workspace(), page)
    click.echo(said)
    webbrowser.open(address)


@cli.command()
def doctor() -> None:
    """Mend what a crash left: runs of dead processes, half-made files; name a damaged promoted adapter."""
    from medcot_pipeline.orchestration.instance.doctor import mend, unproven_runs
    from medcot_pipeline.orchestration.instance.home import open_instance
    from medcot_pipeline.release.promoted import Promoted

    workspace = _workspace()
    with open_instance() as instance:
        mended = mend(instance, workspace.store)
        left = [*unproven_runs(instance), *Promoted(workspace.store.root).problems(workspace.store)]
    click.echo("\n".join([*mended, *left]) or "Nothing to mend.")


@cli.command()
@click.option("--yes", is_flag=True, help="Delete; without it, only say what would be deleted.")
def prune(yes: bool) -> None:
    """Delete artifacts that are not current, not promoted, not reviewed, and no part of what the first two need."""
    from medcot_pipeline.artifacts import prune as pruning
    from medcot_pipeline.evaluation.people.shown_packs import remember_packs, reviewed_artifacts
    from medcot_pipeline.release.promoted import Promoted

    workspace = _workspace()
    store, reviewed = workspace.store, reviewed_artifacts(workspace)
    if yes:
        remember_packs(workspace)
    promoted = Promoted(store.root).kept
    unneeded = pruning.prune(store, promoted, reviewed) if yes else pruning.find_unneeded(store, promoted(), reviewed)
    for each in unneeded:
        click.echo(f"{'deleted' if yes else 'would delete'} {each.path} ({size_text(each.bytes)})")
    total = size_text(sum(each.bytes for each in unneeded))
    if not unneeded:
        click.echo("Nothing to delete.")
    else:
        click.echo(f"{total} {'are free again' if yes else 'would be free again; `medcot prune --yes` deletes'}.")


@cli.command()
def rollback() -> None:
    """Promote the adapter again that the promoted one took over from."""
    from medcot_pipeline.release.promoted import Promoted

    store = _workspace().store
    before, now = Promoted(store.root).roll_back(store)
    click.echo(f"Promoted is {now[:12]} again, and {before[:12]} no more: {store.root / 'promoted' / 'qlora_adapter'}")


@cli.command()
@click.option("--port", default=8417, show_default=True, help="Port on 127.0.0.1; 0 takes any.")
def review(port: int) -> None:
    """Serve the blind review page on loopback and save every verdict as it is made."""
    from medcot_pipeline.evaluation.people.server import ReviewServer
    from medcot_pipeline.evaluation.people.shown_packs import open_packs

    workspace = _workspace()
    packs, folder = open_packs(workspace), workspace.store.root / workspace.settings.review.folder
    with ReviewServer(port, packs, folder) as server:
        click.echo(f"Blind review: {server.address}")
        for pack, _ in packs[1:]:
            click.echo(f"Second look of {pack.reviewer}: {server.address}{pack.pack[:8]}")
        click.echo(f"Verdicts go to {folder}; Ctrl-C ends. `medcot sync` then brings the report up to date.")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _workspace() -> "Workspace":
    from medcot_pipeline.table import open_workspace

    return open_workspace()


def _show_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


def _show_standing() -> None:
    """Print where one stands; makes nothing, not even the Dagster home."""
    from medcot_pipeline.orchestration.instance.home import home_is_made, open_instance
    from medcot_pipeline.pipeline.plan import make_plan
    from medcot_pipeline.terminal.screen import Screen
    from medcot_pipeline.terminal.standing import standing_lines

    workspace = _workspace()
    lines = make_plan(workspace)
    runs: list[UnfinishedRun] | None = None
    failure: FailedRun | None = None
    if home_is_made():
        from medcot_pipeline.orchestration.instance.status import failed_runs, unfinished_runs

        with open_instance() as instance:
            runs, failure = list(unfinished_runs(instance)), next(failed_runs(instance, 1), None)
    click.echo("\n".join(standing_lines(workspace, lines, runs, failure, Screen.of_stdout())))


def main() -> None:
    """Entry point: one line for what is wrong and exit status 1; a traceback only with --debug."""
    warnings.filterwarnings("ignore")
    gc.set_threshold(100_000)  # what importing Dagster makes stays, and is looked through all the while otherwise
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        _fail("Interrupted.", debug=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        message = error_line(error)
        if message is None:
            raise
        _fail(message, "--debug" in sys.argv)
    finally:
        gc.freeze()  # or the interpreter goes through it once more before it ends, for a second


def _fail(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(printable(f"medcot: {message}"), err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
