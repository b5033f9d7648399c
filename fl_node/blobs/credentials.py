"""Where a bucket's credentials come from: variables, and nothing that nobody asked for.

A client that finds no credentials asks the cloud's metadata address, 169.254.169.254, whether the machine it runs on
has a role. Anywhere else, nobody answers, or somebody else does. So it asks there only if a variable says so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

_GCLOUD = Path(".config/gcloud/application_default_credentials.json")
"""What `gcloud auth application-default login` leaves in a user's home."""

LEAST_SECRET: Final = 8
"""Shorter values of variables are not removed from texts: they would match parts of many words."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Variables that name credentials, or where to ask for them, and what to say if none is set."""

    variables: frozenset[str]
    advice: str


_S3 = _Kind(
    frozenset(
        {
            "AWS_ACCESS_KEY_ID",
            "AWS_SKIP_SIGNATURE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_METADATA_ENDPOINT",
        }
    ),
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_SKIP_SIGNATURE=true for a public bucket, or "
    "AWS_METADATA_ENDPOINT=http://169.254.169.254 for the role of this machine",
)
_AZURE = _Kind(
    frozenset(
        {
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_STORAGE_MASTER_KEY",
            "AZURE_STORAGE_SAS_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_STORAGE_TOKEN",
            "AZURE_STORAGE_CLIENT_SECRET",
            "AZURE_CLIENT_SECRET",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_USE_AZURE_CLI",
            "AZURE_SKIP_SIGNATURE",
            "AZURE_STORAGE_USE_EMULATOR",
            "AZURE_CREDENTIAL_TYPE",
            "AZURE_MSI_ENDPOINT",
            "AZURE_IDENTITY_ENDPOINT",
            "IDENTITY_ENDPOINT",
        }
    ),
    "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, "
    "AZURE_SKIP_SIGNATURE=true for a public container, or AZURE_CREDENTIAL_TYPE=managed_identity for the identity of "
    "this machine",
)
_GOOGLE = _Kind(
    frozenset(
        {
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_SERVICE_ACCOUNT",
            "GOOGLE_SERVICE_ACCOUNT_PATH",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "GOOGLE_BEARER_TOKEN",
            "GOOGLE_SKIP_SIGNATURE",
            "GCE_METADATA_HOST",
            "GCE_METADATA_IP",
            "GCE_METADATA_ROOT",
        }
    ),
    "set GOOGLE_APPLICATION_CREDENTIALS to a service account's file, GOOGLE_SKIP_SIGNATURE=true for a public bucket, "
    "or GCE_METADATA_HOST=metadata.google.internal for the account of this machine",
)
_SECRET = ("KEY", "SECRET", "TOKEN", "PASSWORD")
_SERVICES = ("AWS_", "AZURE_", "GOOGLE_", "WANDB_", "MLFLOW_")


def missing_credentials(store: ObjectStore) -> str:
    """What to set, if this client would ask the metadata address for credentials unasked; empty if it would not."""
    match store:
        case S3Store():
            kind, elsewhere = _S3, False
        case AzureStore():
            kind, elsewhere = _AZURE, False
        case GCSStore():
            kind, elsewhere = _GOOGLE, (Path.home() / _GCLOUD).is_file()
        case _:
            return ""
    named = elsewhere or any(os.environ.get(name) for name in kind.variables)
    return "" if named else f"no credentials: {kind.advice} (docs/stores.md)"


def secrets_in_variables() -> set[str]:
    """Values of the services' variables that no text may repeat."""
    return {
        value
        for name, value in os.environ.items()
        if name.startswith(_SERVICES)
        and any(word in name for word in _SECRET)
        and len(value) >= LEAST_SECRET
    }
