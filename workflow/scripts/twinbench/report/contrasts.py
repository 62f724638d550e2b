"""How the runs differ: planned contrasts, what would settle the open ones, and what single seeds say."""

from collections.abc import Iterator

import numpy as np
from scipy.special import stdtrit

from twinbench.analysis.comparisons import Comparison, differences, differing_settings
from twinbench.analysis.defaults import Gap
from twinbench.analysis.naming import ContrastName, network, weights
from twinbench.analysis.spread import measured_spread
from twinbench.analysis.statistics import (
    MOST_SEEDS,
    SIGNIFICANCE,
    Estimate,
    holm,
    score_interval,
)
from twinbench.report.answer import side
from twinbench.report.blocks import Block, Bullets, Cell, Code, Folded, Row, Table, Text
from twinbench.report.evidence import Evidence
from twinbench.report.repeat import command

_MOST_DETAILS = 4  # contrasts with a sentence of their own
_MOST_SHOWN = 20  # contrasts in a table that is not folded
_MOST_SEEDS_TO_ADVISE = 20
_MOST_ROWS = 100  # of pairs that are not planned, and of contrasts with a column for each seed
_MOST_COLUMNS = 10  # one for each seed
_SEEDS_FOR_A_SPREAD = 3


def opening(evidence: Evidence) -> list[Block]:
    """The figure on the first screen."""
    text = evidence.say("The planned contrasts with their intervals, and verdicts")
    return evidence.figure("contrasts", text)


def contrasts(evidence: Evidence) -> list[Block]:
    say = evidence.say
    if not evidence.results.comparisons:
        return []
    left_out = _left_out(evidence)
    if not evidence.contrasts:
        none = say("No two runs differ in one thing alone, so no difference has a single cause.")
        return [*(left_out or [Text(none)]), *_unplanned(evidence)]
    explained = say(
        "Two runs that differ in one thing alone make a planned contrast. Differences are in percentage "
        "points (pp); intervals of 95 % are for new trainings and new test images, and wider where a "
        "question has several contrasts (Holm)."
    )
    header = [say("contrast"), say("difference"), say("interval"), say("p"), say("verdict")]
    rows = [_row(evidence, name, pair) for name, pair in evidence.contrasts.items()]
    table: Block = Table("contrasts", header, rows)
    if len(rows) > _MOST_SHOWN:
        table = Folded(say("All {count} contrasts", count=len(rows)), [table])
    return [
        Text(explained),
        table,
        *_settings(evidence),
        *left_out,
        *_details(evidence),
        *_unplanned(evidence),
    ]


def _settings(evidence: Evidence) -> list[Block]:
    """By which training settings the runs of a contrast differ: several of them count as one thing."""
    say = evidence.say
    found = {
        name: differing_settings(evidence.provenance[pair.run_a], evidence.provenance[pair.run_b])
        for name, pair in evidence.contrasts.items()
    }
    lines = [
        say(
            "{contrast}: trained with different {settings}.",
            contrast=str(name),
            settings=say.listed(keys),
        )
        for name, settings in found.items()
        if (keys := [f"`{key}`" for key in settings])
    ]
    return [Bullets(lines[:_MOST_SHOWN])] if lines else []


def _left_out(evidence: Evidence) -> list[Block]:
    """How many planned contrasts are with runs that collapsed."""
    planned = sum(pair.planned for pair in evidence.results.comparisons)
    count = planned - len(evidence.contrasts)
    text = evidence.say.plural(
        "{count} contrast with a collapsed run is left out: a failure is compared with nothing.",
        "{count} contrasts with collapsed runs are left out: a failure is compared with nothing.",
        count,
    )
    return [Text(text)] if count else []


def _row(evidence: Evidence, name: ContrastName, pair: Comparison) -> Row:
    say = evidence.say
    return [
        str(name),
        Cell(say.points(pair.difference), 100 * pair.difference),
        Cell(_interval(evidence, pair), 100 * pair.difference_low),
        Cell(say.p_value(pair.p_holm), pair.p_holm),
        _verdict(evidence, pair),
    ]


def _verdict(evidence: Evidence, pair: Comparison) -> str:
    say = evidence.say
    margin = say.margin(evidence.settings.equivalence_margin)
    if pair.winner:
        ahead = side(evidence, pair, pair.winner)
        if pair.equivalence_p_holm < SIGNIFICANCE:
            return say("{ahead} ahead, by less than {margin}", ahead=ahead, margin=margin)
        return say("{ahead} ahead", ahead=ahead)
    return (
        say("equal within {margin}", margin=margin) if pair.verdict == "equivalent" else say("open")
    )


def _interval(evidence: Evidence, pair: Comparison) -> str:
    """With a second digit where one alone would hide on which side of zero an end lies."""
    ends = pair.difference_low, pair.difference_high
    decimals = 2 if any(0 < abs(end) < 0.0005 for end in ends) else 1
    return evidence.say.interval(*ends, decimals)


def _details(evidence: Evidence) -> list[Block]:
    """Of one seed what the trained networks show, of several how reliable the winners are."""
    say, pairs = evidence.say, evidence.contrasts
    if evidence.seeds == 1:
        shown = list(pairs.items())[:_MOST_DETAILS]
        return (
            [Bullets([_of_one_seed(evidence, name, pair) for name, pair in shown])] if shown else []
        )
    winners = [pair.same_direction for pair in pairs.values() if pair.winner]
    if not winners:
        return []
    text = say.plural(
        "If every true difference was equally likely beforehand, a repetition would put the same one ahead "
        "with a probability of {probability}.",
        "If every true difference was equally likely beforehand, a repetition would put the same ones ahead, "
        "each with a probability of {probability} or more.",
        len(winners),
        probability=say.number(min(winners), 2),
    )
    return [Text(text)]


def _of_one_seed(evidence: Evidence, name: ContrastName, pair: Comparison) -> str:
    say = evidence.say
    # Not the printed interval's, which Holm's adjustment widens.
    reach = float(stdtrit(pair.degrees_of_freedom, 1 - SIGNIFICANCE / 2)) * pair.standard_error
    return say(
        "{contrast}: on these images the two trained networks differ by {gap} ({interval}); other "
        "trainings and images can move such a gap by {reach}.",
        contrast=str(name),
        gap=say.points(pair.difference),
        interval=say.interval(pair.trained_low, pair.trained_high, 1),
        reach=say.points(reach),
    )


# --- What would settle it ----------------------------------------------------------------------


def settling(evidence: Evidence) -> list[Block]:
    """What would settle each open contrast: seeds, time, and the command."""
    say, margin = evidence.say, evidence.say.margin(evidence.settings.equivalence_margin)
    pairs = {n: pair for n, pair in evidence.contrasts.items() if pair.verdict == "open"}
    if not pairs:
        return []
    explained = say(
        "With this many seeds in all, instead of {now}, a contrast would be settled with a "
        "probability of 80 %: one side ahead, or equal within {margin}. The times are for all "
        "runs, one after another, on this study's hardware.",
        now=evidence.seeds,
        margin=margin,
    )
    least = say(
        "After one seed these are minimums: one seed does not show how much of the luck comes "
        "from the test images, which more seeds do not reduce."
    )
    header = [say("contrast"), say("seeds"), say("time for the added ones")]
    rows = [_seeds(evidence, name, pair.seeds_to_settle) for name, pair in pairs.items()]
    needed = [pair.seeds_to_settle for pair in pairs.values()]
    return [
        Text(explained),
        *([Text(least)] if evidence.seeds == 1 else []),
        Table("settling", header, rows),
        *_advice(evidence, [int(seeds) for seeds in needed if seeds <= _MOST_SEEDS_TO_ADVISE]),
    ]


def _seeds(evidence: Evidence, name: ContrastName, seeds: float) -> Row:
    """NaN: no number up to `MOST_SEEDS`."""
    say = evidence.say
    if np.isnan(seeds):
        return [str(name), say("more than {count}", count=MOST_SEEDS), "-"]
    one = evidence.results.metrics["total_seconds"].sum() / evidence.seeds
    time = (seeds - evidence.seeds) * one
    return [str(name), Cell(say.whole(seeds), seeds), Cell(say.duration(time), time)]


def _advice(evidence: Evidence, useful: list[int]) -> list[Block]:
    """The command for the `useful` numbers of seeds, and what to beware of."""
    say, seeds = evidence.say, evidence.results.seeds
    if not useful:
        text = say(
            "That many are seldom worth it: more test images help more, or a wider margin "
            "(report.equivalence_margin), fixed before the next study."
        )
        return [Text(text)]
    free = (seed for seed in range(1, 10**6) if seed not in seeds)
    added = [*seeds, *(next(free) for _ in range(max(useful) - len(seeds)))]
    warning = say(
        "Decide on the number beforehand: looking again after every few seeds about doubles the "
        "rate of false winners, and raises it further where trainings vary more than assumed "
        "(docs/statistics.md)."
    )
    return [Code(command(evidence, seeds=added)), Text(warning)]


# --- Pairs that are not planned ----------------------------------------------------------------


def _unplanned(evidence: Evidence) -> list[Block]:
    say = evidence.say
    pairs = sorted(evidence.unplanned, key=lambda pair: len(pair.factors.split(", ")))
    if not pairs:
        return []
    rows: list[Row] = [
        [
            f"{pair.run_a}, {pair.run_b}",
            Cell(say.points(pair.difference), 100 * pair.difference),
            Cell(
                say.interval(pair.difference_low, pair.difference_high, 1),
                100 * pair.difference_low,
            ),
            ", ".join(say(factor) for factor in pair.factors.split(", ")),
        ]
        for pair in pairs[:_MOST_ROWS]
    ]
    header = [say("a, b"), say("a minus b"), say("95 % interval"), say("what differs")]
    blocks: list[Block] = [Table("other-pairs", header, rows)]
    if rest := len(pairs) - len(rows):
        blocks.append(Text(say("{count} more are in comparisons.csv.", count=rest)))
    summary = say.plural(
        "{count} pair that differs in more than one thing, so that no cause can be named",
        "{count} pairs that differ in more than one thing, so that no cause can be named",
        len(pairs),
    )
    return [Folded(summary, blocks)]


# --- The frameworks' defaults ------------------------------------------------------------------


def default_gaps(evidence: Evidence) -> list[Block]:
    """How much of each difference between frameworks their defaults account for."""
    say = evidence.say
    if not evidence.default_gaps:
        return []
    header = [
        say("network"),
        say("difference"),
        say("own defaults"),
        say("same protocol"),
        say("due to the defaults"),
    ]
    rows: list[Row] = [
        [
            _network(evidence, gap),
            say("{a} minus {b}", a=say.framework(gap.first), b=say.framework(gap.second)),
            *(_estimate(evidence, each) for each in (gap.native, gap.harmonised, gap.defaults)),
        ]
        for gap in evidence.default_gaps
    ]
    p_values = holm([gap.defaults.p_value() for gap in evidence.default_gaps])
    clear = [
        gap
        for gap, p_value in zip(evidence.default_gaps, p_values, strict=True)
        if p_value < SIGNIFICANCE
    ]
    text = (
        say("No effect of the defaults is shown.")
        if not clear
        else say(
            "The defaults make a difference of their own for {networks}.",
            networks=say.listed([_network(evidence, gap) for gap in clear]),
        )
    )
    width = say("Intervals of 95 % each, not widened for several contrasts.")
    return [Text(text), Table("defaults", header, rows), Text(width)]


def _network(evidence: Evidence, gap: Gap) -> str:
    name = f"{evidence.say(network(gap.model))}, {weights(gap.weights, evidence.say)}"
    alike = [
        each.number
        for each in evidence.default_gaps
        if (each.model, each.weights) == (gap.model, gap.weights)
    ]
    return name if len(set(alike)) == 1 else f"{name} ({gap.number})"


def _estimate(evidence: Evidence, found: Estimate) -> Cell:
    say = evidence.say
    text = f"{say.points(found.difference)} ({say.interval(*found.interval(), decimals=1)})"
    return Cell(text, 100 * found.difference)


# --- What single seeds would have said ---------------------------------------------------------


def single_seeds(evidence: Evidence) -> list[Block]:
    """What each seed alone, by the usual test, would have claimed, and how much they differ."""
    if evidence.seeds == 1:
        return []
    return [*(_claimed_by_seeds(evidence) if evidence.contrasts else []), *_spreads(evidence)]


def _claimed_by_seeds(evidence: Evidence) -> list[Block]:
    say, pairs = evidence.say, evidence.contrasts
    claims = {name: list(_claims(evidence, pair)) for name, pair in pairs.items()}
    # Those first whose seeds disagree.
    order = sorted(claims, key=lambda name: -len({winner for _, winner in claims[name]}))
    sentences = [
        _claimed(evidence, name, pairs[name], [winner for _, winner in claims[name]])
        for name in order[:_MOST_DETAILS]
    ]
    explained = say(
        "A study of one seed compares two trained networks. The usual interval, for other test images, knows "
        "nothing of the luck of training, and often names a winner where the methods do not differ."
    )
    blocks: list[Block] = [Text(explained), Bullets(sentences)]
    if evidence.seeds <= _MOST_COLUMNS:
        header = [
            say("contrast"),
            *(say("seed {seed}", seed=seed) for seed in evidence.results.seeds),
        ]
        rows: list[Row] = [[str(name), *(cell for cell, _ in claims[name])] for name in order]
        blocks.append(Table("single-seeds", header, rows[:_MOST_ROWS]))
        if len(rows) > _MOST_ROWS:
            blocks.append(Text(say("The first {count} of {all}.", count=_MOST_ROWS, all=len(rows))))
    return blocks


def _spreads(evidence: Evidence) -> list[Block]:
    """How much trainings of one run differ by their seed alone."""
    say = evidence.say
    if evidence.seeds < _SEEDS_FOR_A_SPREAD:
        return []
    rows: list[Row] = []
    for run in evidence.results.sound:
        std, low, high = measured_spread(evidence.results.correct[run])
        text = f"{say.points(std, 2)} ({say.interval(low, high, 2)})"
        rows.append([evidence.labels[run], Cell(text, 100 * std)])
    explained = say(
        "The spread between trainings that differ in their seed alone, on endless test images (Jordan 2024, "
        "theorem 2):"
    )
    header = [say("run"), say("standard deviation (95 % interval)")]
    return [Text(explained), Table("spread", header, rows)] if rows else []


def _claims(evidence: Evidence, pair: Comparison) -> Iterator[tuple[Cell, str]]:
    """For each seed its difference with interval, and whom it would have named: a run, or nobody."""
    say, correct = evidence.say, evidence.results.correct
    for row in differences(correct[pair.run_a], correct[pair.run_b]):
        only_a, only_b = int((row > 0).sum()), int((row < 0).sum())
        gap = (only_a - only_b) / row.size
        low, high = score_interval(only_a, only_b, row.size)
        named = low > 0 or high < 0
        winner = (pair.run_a if gap > 0 else pair.run_b) if named else ""
        text = f"{say.points(gap)} ({say.interval(low, high, 1)})"
        yield Cell(f"**{text}**" if named else text, 100 * gap), winner


def _claimed(evidence: Evidence, name: ContrastName, pair: Comparison, claims: list[str]) -> str:
    say = evidence.say
    counts = {run: claims.count(run) for run in (pair.run_a, pair.run_b)}
    named = [
        say("{count} for {side}", count=count, side=side(evidence, pair, run))
        for run, count in counts.items()
        if count
    ]
    neither = claims.count("")
    named += [say("{count} for neither", count=neither)] if neither else []
    return say(
        "{contrast}: of {seeds} seeds alone, {claims}.",
        contrast=str(name),
        seeds=len(claims),
        claims=say.listed(named),
    )
