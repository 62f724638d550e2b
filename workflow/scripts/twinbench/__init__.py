"""The package behind the rules: the same experiment in two frameworks, and its analysis."""

import sys
import traceback
from pathlib import Path
from types import TracebackType

from twinbench.errors import missing_library


def _last_words(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """Write what ends an entry script before it has its log, while it imports, to that log too."""
    interrupted = "interrupted" if kind is KeyboardInterrupt else None
    text = missing_library(error) or interrupted or "".join(traceback.format_exception(error))
    print(text.rstrip(), file=sys.stderr)
    if "--log" in sys.argv[:-1]:
        path = Path(sys.argv[sys.argv.index("--log") + 1])
        path.write_text(text.rstrip() + "\n", encoding="utf-8")


_script = Path(sys.argv[0]).resolve()
if _script.parent == Path(__file__).resolve().parents[1]:  # an entry script, run by some `python`
    sys.excepthook = _last_words
