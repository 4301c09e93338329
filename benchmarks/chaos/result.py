"""What came of one chaos run. Pure but for the replicas' logs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.chaos.checker import Verdicts
from benchmarks.chaos.client_faults import HELD_REFUSED, REFUSALS, STALE_SLOW
from benchmarks.chaos.firestore_faults import STORM_LEFT
from benchmarks.chaos.injector import Recoveries
from benchmarks.chaos.service import AUDIT_ALARM, Service
from benchmarks.chaos.stage import Excuses, Findings

FOUND = (HELD_REFUSED, STALE_SLOW, STORM_LEFT)
"""The rows that faults themselves fill."""

EXAMPLES = 5


@dataclass
class Mirrored:
    """What came of the mirrors of `/events`."""

    batches: int = 0
    resets: int = 0
    contradictions: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


@dataclass
class LoggedErrors:
    """Those that no fault explains."""

    false_alarms: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, replicas: Sequence[Service], excuses: Excuses) -> "LoggedErrors":
        """From their logs."""
        found = cls()
        for logged in (logged for replica in replicas for logged in replica.errors_logged()):
            at_us = int(logged.at_s * 1_000_000)
            if logged.message.startswith(AUDIT_ALARM):
                if not excuses.lies.contains(at_us):
                    found.false_alarms.append(logged.line)
            elif not (excuses.refusals.contains(at_us) and _names_a_refusal(logged.line)):
                found.others.append(logged.line)
        return found


def _names_a_refusal(line: str) -> bool:
    """The service writes gRPC's codes in lower case."""
    return any(code.lower() in line.lower() for code in REFUSALS)


@dataclass
class Result:
    """The figures of one run."""

    listener: str
    seconds: float
    verdicts: Verdicts
    recoveries: Recoveries
    commits: int
    findings: Findings
    mirrored: Mirrored
    logged: LoggedErrors
    exit_codes: list[int]
    server_errors_counted: int
    max_rss_mib: int

    @property
    def forbidden(self) -> int:
        """How much happened that never may."""
        return sum(self.rows.values())

    @property
    def rows(self) -> dict[str, int]:
        """All that never may happen, by the row of the report."""
        verdicts = self.verdicts
        return {
            "wrong answers": verdicts.wrong,
            "older than their `Age` allows": verdicts.bound_broken,
            "versions that went backwards": verdicts.backwards,
            "5xx other than 503 with `Retry-After`": verdicts.server_errors,
            "the same, as the service counts them": self.server_errors_counted,
            "unanswered": verdicts.unanswered,
            "later than their bound": verdicts.late,
            "contradictions in mirrors of `/events`": len(self.mirrored.contradictions),
            "rows of mirrors that differ in the end": len(self.mirrored.differences),
            **{row: self.findings.forbidden[row] for row in FOUND},
            "audit alarms that no lie explains": len(self.logged.false_alarms),
            "errors logged that no fault explains": len(self.logged.others),
            "recoveries overdue": len(self.recoveries.overdue),
            "exit codes other than 0": len([code for code in self.exit_codes if code]),
        }

    @property
    def examples(self) -> list[str]:
        """Of what never may happen, some of each."""
        found = (
            self.verdicts.examples,
            self.mirrored.contradictions,
            self.mirrored.differences,
            self.findings.examples,
            self.logged.false_alarms,
            self.logged.others,
            self.recoveries.overdue,
        )
        return [example for examples in found for example in examples[:EXAMPLES]]
