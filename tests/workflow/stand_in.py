"""Stands in for `python` in a job: makes the files that the job's command names, in no time.

Every path below results/ that is not there yet is an output. What a file holds depends on its name
alone, so a second run writes the same.
"""

import os
import sys
from pathlib import Path

FIGURES = ("contrasts", "accuracy")


def main(script: str, *arguments: str) -> None:
    if script.endswith("import_archive.py"):  # whose output has to have the right checksum
        os.execv(sys.executable, [sys.executable, script, *arguments])
    for option, argument in zip(("", *arguments), arguments, strict=False):
        path = Path(argument.rsplit("=", 1)[-1] if argument.startswith("--") else argument)
        if path.parts[:1] != ("results",):
            continue
        if script.endswith("plot_figures.py") and option == "--figures":
            path.mkdir()
            for name in FIGURES:
                (path / f"{name}.png").write_text(name)
                (path / f"{name}.svg").write_text(name)
        elif script.endswith("write_report.py") and option == "--output":
            for name in ("report.html", "report.md", "settings.md", "parity.md"):
                path.with_name(name).write_text(name)
        elif option == "--tensorboard":
            path.mkdir(parents=True, exist_ok=True)
            (path / "events").write_text(path.name)
        elif not path.exists():
            path.write_text(path.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
