"""What can go wrong off chain: two families of errors, one that is nobody's fault, and one that is a majority's.

GanchorError
├── Misuse                  the caller's fault, or the machine's: say so in one line and stop
│   ├── ManifestInvalid       a field of the manifest, and what is allowed there
│   ├── CodeRefused           a task's code may not, or cannot, run here
│   ├── DataUnusable          unknown data set, empty folder, unreadable pictures
│   ├── StoreUnusable         the store cannot be reached, or is full
│   │   └── StoreSlow           a transfer did not end in time
│   ├── DeviceUnusable        this machine has no such device
│   ├── StateUnusable         the node's own state folder is damaged or in use
│   └── AuditImpossible       the audit could not be carried out
├── NothingToSend           the member sits the round out, and says why
│   ├── TrainingDiverged      losses or weights are no longer finite
│   ├── TrainingFailed        the task's code raised, hung, died, or returned what cannot be used
│   └── PolicyForbids         the node's own policy keeps the update back
├── ModelDisputed           a quorum made a model final that its updates do not come to: stop
└── BadData                 somebody else's bytes are wrong: leave them out, record it, go on
    ├── BlobMissing           the store does not have the digest
    ├── BlobTampered          the bytes do not hash to their name
    ├── BlobOversized         more bytes than the reader allows
    ├── BlobMalformed         not the encoding of docs/protocol.md
    ├── BundleInvalid         a file that is no bundle of a history
    ├── ReceiptInvalid        a file that is no receipt of a member's update
    ├── NoteInvalid           a text that is no cosigned note, or no witness's key
    ├── ExtensionRefused      a history that does not extend what a witness has signed
    ├── StatementInvalid      a file that is no signed statement about a model
    └── UpdateInvalid         a well-formed update that breaks a validity rule
"""

from __future__ import annotations


class GanchorError(Exception):
    """Base of everything this package raises."""


class Misuse(GanchorError):
    """The caller's fault, or the machine's."""


class ManifestInvalid(Misuse):
    """A field of the manifest is wrong; the message names it and says what is allowed."""


class CodeRefused(Misuse):
    """A task's code may not, or cannot, run here: nobody allowed it, or this machine lacks what it needs."""


class DataUnusable(Misuse):
    """The training data cannot be used."""


class StoreUnusable(Misuse):
    """The store cannot be reached or written."""


class StoreSlow(StoreUnusable):
    """A transfer to or from a store behind a URL did not end in time, and was given up.

    Attributes:
        done: Bytes that had certainly arrived; whole parts are counted, so that more may have.
        size: Bytes of the whole blob.
        seconds: How long it had been under way.
    """

    def __init__(self, message: str, done: int, size: int, seconds: float) -> None:
        super().__init__(message)
        self.done = done
        self.size = size
        self.seconds = seconds


class DeviceUnusable(Misuse):
    """This machine does not have the requested device."""


class StateUnusable(Misuse):
    """The node's state folder is damaged or in use."""


class AuditImpossible(Misuse):
    """The audit could not be carried out. This says nothing about the history."""


class NothingToSend(GanchorError):
    """The member has no update for this round, and declines it."""


class TrainingDiverged(NothingToSend):
    """Losses or weights are no longer finite."""


class TrainingFailed(NothingToSend):
    """The task's own code raised an error, ran too long, died, or returned what cannot be used."""


class PolicyForbids(NothingToSend):
    """The node's own policy does not let this update leave."""


class ModelDisputed(GanchorError):
    """A quorum made a model final that the round's updates do not come to. An honest node does not train on from it."""


class BadData(GanchorError):
    """Somebody else's bytes are wrong."""


class BlobMissing(BadData):
    """The store does not have the digest."""


class BlobTampered(BadData):
    """The bytes do not hash to the digest they are stored under."""


class BlobOversized(BadData):
    """More bytes than the reader allows."""


class BlobMalformed(BadData):
    """The bytes are not the encoding that docs/protocol.md specifies."""


class BundleInvalid(BadData):
    """A file is not the bundle of a history that docs/protocol.md specifies."""


class ReceiptInvalid(BadData):
    """A file is not the receipt of a member's update that docs/protocol.md specifies."""


class NoteInvalid(BadData):
    """A text is not the cosigned note, or the witness's key, that docs/protocol.md specifies."""


class ExtensionRefused(BadData):
    """What an endpoint shows of a history does not extend what a witness has signed."""


class StatementInvalid(BadData):
    """A file is not the signed statement about a model that docs/protocol.md specifies."""


class UpdateInvalid(BadData):
    """A well-formed update that breaks a validity rule; `rule` is its name in docs/protocol.md."""

    def __init__(self, rule: str, expected: object, actual: object) -> None:
        super().__init__(f"{rule}: expected {expected}, got {actual}")
        self.rule = rule
