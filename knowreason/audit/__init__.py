"""What is wrong with a run although nothing failed: its inference, rules and weights."""

from knowreason.audit.audit import audit_beliefs, refused
from knowreason.audit.audit_report import Audit

__all__ = ["Audit", "audit_beliefs", "refused"]
