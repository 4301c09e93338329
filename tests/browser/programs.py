"""The browser: Debian's chromium, driven by Playwright. Nothing is downloaded."""

import os
import shutil

HOW_TO_GET_IT = "no chromium found; install it with: apt-get install chromium"


def chromium() -> str | None:
    """Where it is; CHROMIUM names another."""
    return shutil.which(os.environ.get("CHROMIUM", "chromium"))
