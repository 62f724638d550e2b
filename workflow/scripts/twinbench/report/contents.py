"""The order of the report. A section without content does not appear."""

from collections.abc import Callable

from twinbench.report import appendices, caveats, contrasts, mistakes, outcomes, repeat, reported
from twinbench.report.answer import answer, badges
from twinbench.report.blocks import Block, Report, Section, Text
from twinbench.report.evidence import Evidence

_Contents = list[tuple[str, str, Callable[[Evidence], list[Block]]]]


def report(evidence: Evidence) -> Report:
    say = evidence.say
    return Report(
        title=say(evidence.settings.title),
        introduction=say(evidence.settings.introduction),
        answer=answer(evidence),
        badges=badges(evidence),
        opening=contrasts.opening(evidence),
        sections=_sections(
            evidence,
            [
                ("contrasts", say("Planned contrasts"), contrasts.contrasts),
                ("settling", say("What would settle the open ones"), contrasts.settling),
                ("results", say("Results"), outcomes.results),
                ("collapse", say("Why it collapsed"), outcomes.collapses),
                ("reported", say("The report that this study re-does"), reported.reported),
                ("defaults", say("How much is defaults"), contrasts.default_gaps),
                ("single-seeds", say("What single seeds would have said"), contrasts.single_seeds),
                ("learning", say("Learning"), outcomes.learning),
                ("errors", say("Errors"), mistakes.mistakes),
                ("calibration", say("Calibration"), mistakes.calibration),
                ("cost", say("Cost"), outcomes.costs),
                ("caveats", say("Caveats"), caveats.caveats),
                ("repeat", say("How to repeat it"), _repeat),
            ],
        ),
        appendices=_sections(
            evidence,
            [
                ("parity", say("Are the twins the same experiment?"), appendices.parity),
                ("settings", say("Data, networks and settings"), appendices.settings),
            ],
        ),
    )


def _sections(evidence: Evidence, contents: _Contents) -> list[Section]:
    found = [Section(name, title, blocks(evidence)) for name, title, blocks in contents]
    return [section for section in found if section.blocks]


def _repeat(evidence: Evidence) -> list[Block]:
    """With a line on what stands in files of its own."""
    say = evidence.say
    names = ["settings.md", *(["parity.md"] if evidence.parity is not None else [])]
    links = say.listed([f"[{name}]({name})" for name in names])
    return [*repeat.repeat(evidence), Text(say("More stands in {files}.", files=links))]
