"""The `medcot` command.

Belongs here: arguments, what is printed, exit statuses.
Does not: anything that a function elsewhere could do.
"""

import contextlib
import errno
import gc
import resource
import shlex
import sys
import time
import traceback
import warnings
from pathlib import Path

import click

from medcot_pipeline import table
from medcot_pipeline.corpus.sources.incoming import passed_over
from medcot_pipeline.evaluation.answers.outlook import answer_lines
from medcot_pipeline.evaluation.exams.outlook import exam_lines
from medcot_pipeline.evaluation.perplexity.packing.outlook import perplexity_lines
from medcot_pipeline.pipeline.plan import PlanLine, make_plan
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.errors import MedcotError, comes_of, printable
from medcot_pipeline.support.progress import duration, size_text
from medcot_pipeline.table import open_workspace
from medcot_pipeline.training.plan.outlook import training_lines

COLOURS = {"fresh": "green", "stale": "yellow", "missing": "red", "waiting": "cyan"}

DAGSTER_DEV = (
    'dagster() { if [ "$1" = dev ]; then env -u DAGSTER_MODULE_NAME dagster "$@"; else command dagster "$@"; fi; }'
)
"""`dagster asset materialize` needs DAGSTER_MODULE_NAME; the servers that `dagster dev` starts hang if they see it."""

OUTLOOKS = {
    "Training": training_lines,
    "Perplexity": perplexity_lines,
    "Answers": answer_lines,
    "Exams": exam_lines,
}
"""What `medcot plan` says of stages that take long: lines, or none where there is nothing to do."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """From medical reasoning rows to a tuned model and its evaluation."""


@cli.command()
def init() -> None:
    """Create DAGSTER_HOME and its storage, once; mend what a crash left."""
    from medcot_pipeline.orchestration.instance.doctor import mend
    from medcot_pipeline.orchestration.instance.home import dagster_home, open_instance

    workspace = open_workspace()
    with open_instance() as instance:
        for line in mend(instance, workspace.store):
            click.echo(f"mended: {line}")
    click.echo(f"Dagster home: {dagster_home()}")


@cli.command()
def env() -> None:
    """Print the exports under which the plain Dagster commands work: eval "$(medcot env)"."""
    from medcot_pipeline.orchestration.instance.home import MODULE, dagster_home, open_instance

    workspace = open_workspace()
    with open_instance():
        home = dagster_home()
    exports = {
        "DAGSTER_HOME": str(home),
        "DAGSTER_MODULE_NAME": MODULE,
        "MEDCOT_PROFILE": workspace.profile,
        "MEDCOT_DATA_DIR": str(workspace.store.root),
        "PYTHONWARNINGS": "ignore",
    }
    for name, value in exports.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    click.echo(DAGSTER_DEV)


@cli.command()
def plan() -> None:
    """Show every asset (fresh, stale and why, missing, waiting for a stale one), and what takes long."""
    workspace = open_workspace()
    lines = make_plan(workspace)
    click.echo(f"Profile {workspace.profile}, data in {workspace.store.root}")
    for line in lines:
        status = click.style(f"{line.status:8}", fg=COLOURS[line.status])
        click.echo(f"  {line.asset:20} {status} {'; '.join(line.reasons)}".rstrip())
    _show_passed_over(workspace)
    by_asset = {line.asset: line for line in lines}
    for title, lines_of in OUTLOOKS.items():
        for number, said in enumerate(lines_of(workspace, by_asset)):
            click.echo(f"{'' if number else f'{title}:':12}{said}")
    click.echo(_cost(lines))


@cli.command()
@click.option("--only", metavar="ASSETS", help="Comma-separated assets to bring up to date, and nothing else.")
@click.option("--force", metavar="ASSET", help="Make this asset again although it is fresh.")
@click.option("--dry-run", is_flag=True, help="Say what would run, and stop.")
def sync(only: str | None, force: str | None, dry_run: bool) -> None:
    """Materialise what is stale or missing, and only that."""
    graph = table.GRAPH
    wanted = {graph.stage(name).asset for name in only.split(",")} if only else set(graph.assets)
    forced = {graph.stage(force).asset} if force else set()
    wanted |= forced
    from medcot_pipeline.orchestration.instance.doctor import mend
    from medcot_pipeline.orchestration.instance.home import open_instance
    from medcot_pipeline.orchestration.instance.passes import run_assets, unknown_to_dagster

    started = time.monotonic()
    workspace = open_workspace()
    with open_instance() as instance:
        if not dry_run:
            for line in mend(instance, workspace.store):
                click.echo(f"mended: {line}")
        stale = {line.asset for line in make_plan(workspace) if line.status != "fresh"}
        stale |= unknown_to_dagster(instance, workspace)
        stale |= forced
        chosen = graph.in_order(graph.downstream(stale) & wanted)
        if "raw_medical_o1" not in chosen:  # which says it itself
            _show_passed_over(workspace)
        if not chosen:
            click.echo("Everything is fresh.")
        elif dry_run:
            click.echo("\n".join(f"would materialise {asset}" for asset in chosen))
            return
        else:
            click.echo(f"Profile {workspace.profile}: materialising {', '.join(chosen)}")
            run_assets(instance, chosen, force)
            click.echo(f"Done in {duration(time.monotonic() - started)}.")
    report = workspace.store.root / "current" / "eval_report" / "report.html"
    if report.is_file():
        click.echo(f"Report: {report}")


@cli.command()
def status() -> None:
    """Show what is current and promoted, what runs, who holds the GPU, what failed last, and the disk used."""
    from medcot_pipeline.orchestration.instance.home import open_instance
    from medcot_pipeline.orchestration.instance.status import status_lines

    workspace = open_workspace()
    with open_instance() as instance:
        click.echo("\n".join(status_lines(workspace, instance)))


@cli.command()
def doctor() -> None:
    """Mend what a crash left: runs of dead processes, half-made files; name a damaged promoted adapter."""
    from medcot_pipeline.orchestration.instance.doctor import mend, unproven_runs
    from medcot_pipeline.orchestration.instance.home import open_instance
    from medcot_pipeline.release.promoted import Promoted

    workspace = open_workspace()
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

    workspace = open_workspace()
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

    store = open_workspace().store
    before, now = Promoted(store.root).roll_back(store)
    click.echo(f"Promoted is {now[:12]} again, and {before[:12]} no more: {store.root / 'promoted' / 'qlora_adapter'}")


@cli.command()
@click.option("--port", default=8417, show_default=True, help="Port on 127.0.0.1; 0 takes any.")
def review(port: int) -> None:
    """Serve the blind review page on loopback and save every verdict as it is made."""
    from medcot_pipeline.evaluation.people.server import ReviewServer
    from medcot_pipeline.evaluation.people.shown_packs import open_packs

    workspace = open_workspace()
    packs, folder = open_packs(workspace), workspace.store.root / workspace.settings.review.folder
    with ReviewServer(port, packs, folder) as server:
        click.echo(f"Blind review: {server.address}")
        for pack, _ in packs[1:]:
            click.echo(f"Second look of {pack.reviewer}: {server.address}{pack.pack[:8]}")
        click.echo(f"Verdicts go to {folder}; Ctrl-C ends. `medcot sync` then brings the report up to date.")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _show_passed_over(workspace: Workspace) -> None:
    """Say what lies among the further rows and is not read."""
    for line in passed_over(workspace.settings.source, workspace.store.root):
        click.echo(f"  {line}")


def _cost(lines: list[PlanLine]) -> str:
    """What a sync would do, and how long it took last time."""
    open_lines = [line for line in lines if line.status != "fresh"]
    if not open_lines:
        return "Everything is fresh."
    known = [line.seconds for line in open_lines if line.seconds is not None]
    cost = f"; the current ones took {duration(sum(known))}" if known else ""
    unknown = len(open_lines) - len(known)
    never = f" ({unknown} never ran)" if known and unknown else ""
    return f"`medcot sync` would look at {len(open_lines)} of {len(lines)} assets{cost}{never}."


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
        message = _line(error)
        if message is None:
            raise
        _fail(message, "--debug" in sys.argv)
    finally:
        gc.freeze()  # or the interpreter goes through it once more before it ends, for a second


def _line(error: Exception) -> str | None:
    """What a person must know of an error, in one line; None of a defect of this project."""
    if comes_of(error, errno.EMFILE):
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"Too many open files: here a process may open {most:,}. Raise that, `ulimit -n 1024`, and try again."
    if isinstance(error, MedcotError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}".removeprefix(": ")
    return None


def _fail(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(printable(f"medcot: {message}"), err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
