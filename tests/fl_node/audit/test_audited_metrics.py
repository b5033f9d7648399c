"""The audit and what members measured: example-weighted means, in the report, and beside a report that lies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from doubles import MEMBERS, Federation, run

from fl_node.audit import AuditReport, Report, Status, audit
from fl_node.audit.reported import report_of
from fl_node.blobs.store import key_of

MEANS = {"accuracy": "0.8", "auc": "0.25", "kid": None}


def audit_of(federation: Federation, **options: Any) -> AuditReport:
    return audit(lambda: federation.ledger, federation.store, federation.task, **options)


def remove(federation: Federation, digest: str) -> None:
    path = federation.folder / "store" / key_of(bytes.fromhex(digest))
    path.chmod(0o600)
    path.unlink()


def steps_with_findings(report: AuditReport) -> list[str]:
    return [step for step, status in report.statuses.items() if status is Status.FINDINGS]


def test_each_update_has_what_its_client_measured_and_each_round_the_means(measuring):
    report = audit_of(measuring)
    assert report.verdict == "clean"
    assert [one.metrics for one in report.rounds] == [MEANS, MEANS]
    by_client = {update.client: update.metrics for update in report.rounds[0].updates}
    assert by_client == {
        MEMBERS[0]: {"accuracy": "0.5", "auc": "0.25", "kid": None},
        MEMBERS[1]: {"accuracy": "0.8", "auc": None, "kid": None},
        MEMBERS[2]: {"accuracy": "0.9", "auc": None, "kid": None},
    }


def test_machines_read_the_same_exact_decimals(measuring):
    (first, _) = json.loads(json.dumps(audit_of(measuring).to_json()))["rounds"]
    assert first["metrics"] == MEANS
    assert first["updates"][0]["metrics"]["auc"] == "0.25"


def test_a_task_that_measures_nothing_has_no_metrics(federation):
    run(federation)
    report = audit_of(federation)
    assert [one.metrics for one in report.rounds] == [{}, {}]
    assert {update.metrics == {} for one in report.rounds for update in one.updates} == {True}


def test_no_mean_is_shown_of_a_part_of_a_round(measuring):
    remove(measuring, audit_of(measuring).rounds[0].updates[1].digest)
    first, second = audit_of(measuring).rounds
    assert (first.metrics, second.metrics) == (None, MEANS)
    assert [update.metrics is None for update in first.updates] == [False, True, False]


class TestReport:
    def honest(self, federation: Federation) -> Report:
        return report_of(audit_of(federation), {}, 1.5, "workspace")

    def saying(self, federation: Federation, metrics: object) -> Report:
        """The honest report, with other means in its second round."""
        values = self.honest(federation).model_dump(mode="json")
        values["rounds"][1]["metrics"] = metrics
        return Report.model_validate_json(json.dumps(values))

    def test_an_honest_one_is_clean(self, measuring):
        report = audit_of(measuring, reported=self.honest(measuring))
        assert report.statuses["A9"] is Status.CLEAN

    @pytest.mark.parametrize(
        ("metrics", "expected", "actual"),
        [
            (MEANS | {"accuracy": "0.99"}, "accuracy: 0.8", "accuracy: 0.99"),
            (MEANS | {"kid": "0"}, "kid: None", "kid: 0"),
            (MEANS | {"auc": None}, "auc: 0.25", "auc: None"),
            (MEANS | {"fid": "3"}, "no others", "fid: 3"),
            ({"accuracy": "0.8", "auc": "0.25"}, "kid: None", "no others"),
            ({}, "accuracy: 0.8, auc: 0.25, kid: None", "no others"),
            (None, "accuracy: 0.8, auc: 0.25, kid: None", "None"),
        ],
        ids=["better", "made up", "kept back", "one more", "one fewer", "none", "unknown"],
    )
    def test_one_that_lies_about_a_metric_is_found(self, measuring, metrics, expected, actual):
        report = audit_of(measuring, reported=self.saying(measuring, metrics))
        (finding,) = report.findings
        assert (finding.step, finding.round) == ("A9", 2)
        assert finding.message == "the report's metrics differs from the history"
        assert (finding.expected, finding.actual) == (expected, actual)

    def test_what_can_no_longer_be_computed_accuses_nobody(self, measuring):
        honest = self.honest(measuring)
        remove(measuring, audit_of(measuring).rounds[1].updates[0].digest)
        report = audit_of(measuring, reported=honest)
        assert steps_with_findings(report) == ["A5"]

    @pytest.mark.parametrize("value", ["1" * 21, 0.8, ["0.8"]])
    def test_another_form_is_no_report(self, measuring, value):
        with pytest.raises(ValueError, match="metrics"):
            self.saying(measuring, MEANS | {"accuracy": value})
