"""What stands in files of its own: data, networks and settings, and whether the twins are twins."""

import json

import pandas as pd

from twinbench.analysis import naming
from twinbench.config.arguments import flat
from twinbench.networks.architectures import WORDS
from twinbench.parity import audit, comparing
from twinbench.report.blocks import Block, Bullets, Cell, Folded, Row, Table, Text
from twinbench.report.evidence import Evidence

_MOST_SEEDS_LISTED = 10
_MOST_RUNS = 10  # with a column of settings that differ
_LONGEST_SETTING = 60  # characters of a setting's value in the table of the audit


# --- Parity ------------------------------------------------------------------------------------


def parity(evidence: Evidence) -> list[Block]:
    """The parity suite and the audit; failures stand out."""
    say = evidence.say
    if evidence.parity is None or evidence.audit is None:
        return []
    explained = say(
        "Twins are a run in PyTorch and its counterpart in Keras, the same experiment. The parity suite "
        "checks that they are: both frameworks get the same weights, images and steps of this study, in "
        "float32 and in small batches, and are compared check by check."
    )
    findings = [
        finding.text if finding.passed else f"**{finding.text}**"
        for finding in evidence.parity_findings
    ]
    return [
        Text(explained),
        Bullets(findings),
        _checks(evidence, evidence.parity),
        Folded(
            say(
                "The audit: every setting that could differ, as each framework's own objects report it"
            ),
            [_audited(evidence, evidence.audit)],
        ),
    ]


def _checks(evidence: Evidence, parity: pd.DataFrame) -> Table:
    """One row per parity check, one column per case with its largest error; failures stand out."""
    say = evidence.say
    table = parity.assign(label=comparing.case_labels(parity))
    labels = list(dict.fromkeys(table["label"]))
    rows: list[Row] = []
    for check, entries in table.groupby("check", sort=False):
        errors = dict(zip(entries["label"], _errors(evidence, entries), strict=True))
        first = entries.iloc[0]
        rows.append(
            [
                comparing.check_name(str(check), say),
                *(errors.get(label, "-") for label in labels),
                Cell(say.short(first["tolerance"]), first["tolerance"]),
                say(first["unit"]),
                say(first["reason"]),
            ]
        )
    header = [
        say("check"),
        *labels,
        say("tolerance"),
        say("unit of the error"),
        say("why not smaller"),
    ]
    return Table("parity-checks", header, rows)


def _errors(evidence: Evidence, entries: pd.DataFrame) -> list[Cell]:
    say = evidence.say
    fails = say("FAILS")
    return [
        Cell(say.short(error) if passed else f"**{say.short(error)} {fails}**", error)
        for error, passed in zip(entries["max_error"], entries["passed"], strict=True)
    ]


def _audited(evidence: Evidence, table: pd.DataFrame) -> Table:
    """One row per setting, those that differ first; a setting alike for several cases once."""
    say, names = evidence.say, audit.frameworks(table)
    rows: list[tuple[str, list[str]]] = []
    for setting, entries in table.groupby("setting", sort=False):
        for facts, cases in entries.groupby([*names, "status", "reason"], sort=False):
            *values, status, reason = map(str, facts)
            where = "" if len(cases) == len(entries) else f" ({', '.join(cases['case'])})"
            own = [cases[f"{name}_own"].iloc[0] for name in names]
            texts = [
                f"{_shortened(value)} ({words})" for value, words in zip(values, own, strict=True)
            ]
            shown = f"**{say(status)}**" if status == audit.UNACCOUNTED else say(status)
            rows.append((status, [f"{say(str(setting))}{where}", *texts, shown, say(reason)]))
    order = [audit.UNACCOUNTED, audit.CHOSEN, audit.FORCED, audit.SAME]
    rows.sort(key=lambda row: order.index(row[0]))
    header = [say("setting"), *map(say.framework, names), say("status"), say("why")]
    return Table("parity-audit", header, [row for _, row in rows])


def _shortened(value: str) -> str:
    if len(value) <= _LONGEST_SETTING:
        return value
    return f"{value[:_LONGEST_SETTING].rsplit(' ', 1)[0]} ..."


# --- Data, networks, settings ------------------------------------------------------------------


def settings(evidence: Evidence) -> list[Block]:
    return [*_data(evidence), *_networks(evidence), *_settings(evidence)]


def _data(evidence: Evidence) -> list[Block]:
    """Where the data come from, how they were split and normalised."""
    say, statistics = evidence.say, evidence.statistics
    texts = [
        say(
            "Images: `{name}`, {source}.",
            name=evidence.dataset.name,
            source=evidence.dataset.kind,
        ),
        say(
            "Validation: {share} of the training images, the same fraction of each class, seed "
            "{seed}. They decide which epoch is tested; the test images play no part in training.",
            share=say.percent(statistics.validation_fraction, 0),
            seed=statistics.seed,
        ),
        say(
            "Training images (red, green, blue; 0 to 1): mean {mean}, standard deviation {std}.",
            mean="; ".join(say.number(value, 4) for value in statistics.mean),
            std="; ".join(say.number(value, 4) for value in statistics.std),
        ),
    ]
    if statistics.limit:
        count = say.whole(statistics.limit)
        texts.append(say("Limited to {count} training and as many test images.", count=count))
    names = statistics.class_names
    rows: list[Row] = [
        [
            say(split),
            *(Cell(say.whole(of[name]), of[name]) for name in names),
            say.whole(sum(of.values())),
        ]
        for split, of in statistics.counts.items()
    ]
    return [Bullets(texts), Table("images", [say("images"), *map(say, names), say("all")], rows)]


def _networks(evidence: Evidence) -> list[Block]:
    """Each distinct network."""
    found: dict[tuple[str, ...], list[str]] = {}
    for run, provenance in evidence.provenance.items():
        found.setdefault(tuple(provenance.layers), []).append(run)
    return [_network(evidence, number, runs) for number, runs in enumerate(found.values(), 1)]


def _network(evidence: Evidence, number: int, runs: list[str]) -> Folded:
    say, trained = evidence.say, [evidence.provenance[run] for run in runs]
    names = dict.fromkeys(say(naming.network(each.model)) for each in trained)
    summary = say(
        "{network}: {count} parameters, trained by {runs}",
        network=say.listed(list(names)),
        count=say.whole(trained[0].parameters),
        runs=say.listed(runs),
    )
    rows: list[Row] = [
        [str(place), say.recorded(layer, WORDS)] for place, layer in enumerate(trained[0].layers, 1)
    ]
    return Folded(summary, [Table(f"network-{number}", [say("number"), say("layer")], rows)])


def _settings(evidence: Evidence) -> list[Block]:
    """The settings in effect, those that all runs share and those that differ."""
    say = evidence.say
    every = _by_key(evidence)
    common = [[f"`{key}`", values[0]] for key, values in every.items() if len(set(values)) == 1]
    seeds = [[say("seeds"), _seeds(evidence)]]
    blocks: list[Block] = [Table("settings", [say("setting"), say("all runs")], seeds + common)]
    runs = list(evidence.provenance)[:_MOST_RUNS]
    own = [
        [f"`{key}`", *values[: len(runs)]] for key, values in every.items() if len(set(values)) > 1
    ]
    if own:
        blocks.append(Table("settings-of-runs", [say("setting"), *runs], own))
    if len(evidence.provenance) > len(runs):
        blocks.append(Text(say("The first {count} runs.", count=len(runs))))
    return blocks


def _by_key(evidence: Evidence) -> dict[str, list[str]]:
    """By dotted key the setting of each run; the precision in effect stands for `auto`."""
    by_run = [
        {
            key: json.dumps(value, ensure_ascii=False).strip('"')
            for key, value in flat(
                {**provenance.settings, "precision": provenance.precision}
            ).items()
        }
        for provenance in evidence.provenance.values()
    ]
    keys = dict.fromkeys(key for settings in by_run for key in settings)
    return {key: [settings.get(key, "-") for settings in by_run] for key in keys}


def _seeds(evidence: Evidence) -> str:
    say, seeds = evidence.say, sorted(evidence.results.seeds)
    if len(seeds) > _MOST_SEEDS_LISTED:
        return say(
            "{count} seeds from {first} to {last}", count=len(seeds), first=seeds[0], last=seeds[-1]
        )
    return ", ".join(str(seed) for seed in seeds)
