"""The audit: replays a task's whole history from chain and store, in numbered steps.

audit.py         runs the steps in order
ledger_steps.py  A1, A2, A3, A8: what the chain recorded, held against the rules of the contract
replay.py        the log, played again through the Python model of the contract
store_steps.py   A4 to A7: what the store holds, held against the digests on chain
report.py        what is said at the end
reported.py      A9: what somebody else's report says, held against the history
"""

from fl_node.audit.audit import audit
from fl_node.audit.report import STEPS, AuditReport, Finding, Status
from fl_node.audit.reported import Report, read_report

__all__ = ["STEPS", "AuditReport", "Finding", "Report", "Status", "audit", "read_report"]
