"""What `--help` says of exit statuses, completion and JSON, and the completion of assets.

Belongs here: text that people read before they call a command; quick to import.
Does not belong here: arguments themselves (cli.py).
"""

import click

EPILOG = """\b
Exit status:
  0  done
  1  an error, named in one line, or Ctrl-C; what is finished is kept
  2  a wrong command line

\b
Completion of commands, options and assets:
  bash: put  eval "$(_MEDCOT_COMPLETE=bash_source medcot)"  into ~/.bashrc
  zsh:  put  eval "$(_MEDCOT_COMPLETE=zsh_source medcot)"  into ~/.zshrc
  fish: _MEDCOT_COMPLETE=fish_source medcot > ~/.config/fish/completions/medcot.fish
"""
PLAN_FIELDS = (
    "Print JSON for programs: schema, profile, data, assets (asset, status, reasons, fingerprint, made, seconds, "
    "bytes), passed_over, outlook."
)
STATUS_FIELDS = (
    "Print JSON for programs: schema, profile, data, used_bytes, free_bytes, gpu, passed_over, promoted, current "
    "(asset, fingerprint, made, bytes, reused, notes), runs (run, status, for_seconds, process, gone, said), failures "
    "(run, time, reason)."
)


def complete_assets(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The assets that complete the last name of a list with commas."""
    from medcot_pipeline.table import GRAPH

    names, comma, last = begun.rpartition(",")
    return [f"{names}{comma}{asset}" for asset in GRAPH.assets if asset.startswith(last)]
