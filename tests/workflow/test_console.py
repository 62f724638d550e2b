"""What Snakemake leaves on the screen: what the study found, or what failed and why."""

from tiny import FETCHED, TINY


def test_a_finished_study_ends_with_its_summary_once_and_without_a_terminal(quick_workplace):
    place = quick_workplace
    result = place.snakemake(overlay=FETCHED)
    assert result.returncode == 0, result.stdout[-3000:]
    progress, last = result.stdout.split("(100%) done")
    # The stand-in writes a file's name into it.
    assert "summary.txt" in last.splitlines() and "summary.txt" not in progress.splitlines()
    again = place.snakemake(overlay=FETCHED)
    assert "Nothing to be done" in again.stdout and "summary.txt" not in again.stdout
    other = ("results/fetched/metrics.csv", "--forcerun", "evaluate_runs")
    partial = place.snakemake(*other, overlay=FETCHED)
    assert "Evaluating predictions" in partial.stdout and "(100%) done" in partial.stdout
    assert "summary.txt" not in partial.stdout.splitlines()


def test_a_failure_ends_with_the_job_the_line_that_matters_and_the_log(quick_workplace):
    dataset = FETCHED["dataset"] | {"sha256": "0" * 64}
    result = quick_workplace.snakemake(overlay=FETCHED | {"dataset": dataset})
    assert result.returncode == 1
    assert "Traceback" not in result.stdout and "memory ran out" not in result.stdout
    last = result.stdout.split("Look above for error messages")[1]
    job, reason, log = last.split("Complete log")[0].strip().splitlines()
    assert job == "Failed: Checking and copying the local archive (rule import_archive)"
    assert reason.startswith("  error: own.tar.gz: sha256 is ")
    assert (quick_workplace.folder / log.removeprefix("  log: ")).is_file()


def test_the_first_lines_are_not_about_the_host_and_a_dry_run_still_gives_reasons(workplace, plan):
    _, output = plan(workplace, "--dry-run", overlay=TINY)
    assert "Host:" not in output
    assert "Reason: Missing output files: " in output
