"""Debian's Chromium, headless, which asks nothing of the network by itself.

Belongs here: starting it.
Does not belong here: what is opened in it.
"""

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE_MS = 30_000
"""What a check waits for, as Playwright's actions do: five seconds are short where two cores run all else too."""
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: the page is not tried")


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A browser that has nothing of an earlier one."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        yield browser
        browser.close()
