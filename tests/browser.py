"""Open a page in headless Chromium, without a network, and ask it questions in JavaScript."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Answer:
    """What a page answered, and every line that it wrote to the console."""

    value: object
    console: list[str]


def chromium() -> str | None:
    """The path of Chromium, if it is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def ask(page: Path, question: str, folder: Path, width: int = 1300) -> Answer:
    """The value of a JavaScript expression, or of the promise that it is, in a loaded page.

    Args:
        page: an HTML file.
        question: the expression.
        folder: for a copy of the page that asks, and for the browser's own files.
        width: of the window, in pixels.
    """
    copy = folder / f"{page.stem}.asked.html"
    script = f"""
<script>
addEventListener("load", async () => {{
  const told = document.createElement("pre");
  told.id = "told";
  try {{ told.textContent = JSON.stringify(await ({question})); }}
  catch (error) {{ console.error("question: " + error); }}
  document.documentElement.append(told);
}});
</script>
"""
    start, _, end = page.read_text(encoding="utf-8").rpartition("</body>")
    copy.write_text(f"{start}{script}</body>{end}", encoding="utf-8")
    done = subprocess.run(
        [
            chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            f"--user-data-dir={folder / 'browser'}", f"--window-size={width},900",
            # Every name fails to resolve: what is not in the page is an error on its console.
            "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
            "--virtual-time-budget=20000", "--dump-dom", copy.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.S)
    assert found, f"no answer: {console or done.stderr[-2000:]}"
    return Answer(json.loads(unescape(found[1])), console)
