"""The audit: replays a task's whole history from the chain and the store, in numbered steps.

audit.py         runs the steps in order
ledger_steps.py  A1, A2, A3, A8: checks what the chain recorded against the contract's rules
replay.py        replays the log through the Python model of the contract
store_steps.py   A4 to A7: checks what the store holds against the digests on chain
report.py        the result: statuses, findings and the verified history
reported.py      A9: checks a report.json against the history
"""

from fl_node.audit.audit import audit
from fl_node.audit.report import STEPS, AuditReport, Finding, Status
from fl_node.audit.reported import Report, read_report

__all__ = ["STEPS", "AuditReport", "Finding", "Report", "Status", "audit", "read_report"]
