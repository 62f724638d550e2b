"""A job that failed is tried again with more memory and time, whatever the rule."""

import re

from helpers import STAND_IN, resources, show_resources, with_python
from support import ROOT
from tiny import FETCHED

# Of one script the first two starts fail. All else goes on as the stand-in for python.
FAILING = f"""#!/bin/sh
case $1 in
*/build_tensors.py) echo >> attempts; [ $(wc -l < attempts) -gt 2 ] || exit 1 ;;
esac
exec {STAND_IN} "$@"
"""


def test_each_retry_has_as_much_again(quick_workplace):
    show_resources(quick_workplace, "dataset.smk")
    place = with_python(quick_workplace, FAILING)
    result = place.snakemake("build_tensors", "--retries", "2", overlay=FETCHED)
    assert result.returncode == 0, result.stdout
    assert resources(result.stdout, "build_tensors", "mem_mb") == ["2000", "4000", "6000"]
    assert resources(result.stdout, "build_tensors", "runtime") == ["15", "30", "45"]


def test_a_download_is_one_job_whose_script_tries_again(workplace):
    """A profile's retries would fetch a file with another checksum again and again."""
    place = with_python(workplace, "#!/bin/sh\necho >> attempts\nexit 1\n")
    arguments = ("download_archive", "--retries", "3", "--profile", "profiles/default")
    assert place.snakemake(*arguments).returncode == 1
    assert (place.folder / "attempts").read_text(encoding="utf-8") == "\n"


def test_no_rule_has_a_fixed_amount():
    """It would beat a profile's default-resources, which grow. A job with checkpoints needs no more time."""
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        amounts = re.findall(r"\b((?:mem_mb|runtime)=\S+)", path.read_text(encoding="utf-8"))
        scaled = r"\w+=scaled\((\d+|TRAINING_MEMORY)\),"
        fixed = [each for each in amounts if not re.fullmatch(scaled, each)]
        assert fixed == {"training": ["runtime=480,"], "weights": ["runtime=240,"]}.get(
            path.stem, []
        )
