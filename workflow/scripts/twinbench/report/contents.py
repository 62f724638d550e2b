"""The order of the report. A section without content does not appear."""

from collections.abc import Callable

from twinbench.report import appendices, caveats, contrasts, mistakes, outcomes, repeat, reported
from twinbench.report.answer import answer, badges
from twinbench.report.blocks import Block, Report, Section
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
                ("reported", say("Results reported elsewhere"), reported.reported),
                ("defaults", say("How much is defaults"), contrasts.default_gaps),
                ("single-seeds", say("What single seeds would have said"), contrasts.single_seeds),
                ("learning", say("Learning"), outcomes.learning),
                ("errors", say("Errors"), mistakes.mistakes),
                ("calibration", say("Calibration"), mistakes.calibration),
                ("cost", say("Cost"), outcomes.costs),
                ("caveats", say("Caveats"), caveats.caveats),
                ("repeat", say("How to repeat it"), repeat.repeat),
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
