"""The parts of Google's answers that are read, as types; what is not read is let through.

https://cloud.google.com/compute/docs/reference/rest/v1
"""

from __future__ import annotations

from datetime import datetime

import msgspec

VAGUE = frozenset({"badRequest", "forbidden", "invalid", "required"})
"""Reasons of refused calls that say little."""


class Schema(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of all."""


class WarnedAbout(Schema, frozen=True):
    """What a warning is about."""

    key: str = ""
    value: str = ""


class Warned(Schema, frozen=True):
    """A warning beside a listing."""

    code: str = ""
    message: str = ""
    data: list[WarnedAbout] = []

    @property
    def hides(self) -> bool:
        """Whether things may be missing. The codes are the discovery document's."""
        return self.code in ("UNREACHABLE", "PARTIAL_SUCCESS", "LIST_OVERHEAD_QUOTA_EXCEED")

    @property
    def scopes(self) -> list[str]:
        """Where, as in `zones/us-central1-a`; empty when it does not say."""
        return [one.value for one in self.data if one.key == "scope"]


class Page(Schema, frozen=True):
    """One page of a listing."""

    kind: str
    items: list[object] = []
    next_page_token: str = ""
    warning: Warned | None = None


class AggregatedPage(Schema, frozen=True):
    """One page of a listing over all zones: `zones/NAME` to what is there, by kind."""

    kind: str
    items: dict[str, dict[str, object]] = {}
    next_page_token: str = ""
    unreachables: list[str] = []
    warning: Warned | None = None

    def of_region(self, region: str) -> dict[str, dict[str, object]]:
        """What is in the zones of a region."""
        return {
            scope: content
            for scope, content in self.items.items()
            if scope.startswith(f"zones/{region}-")
        }

    def unreached(self, region: str) -> list[str]:
        """The scopes in which things of a region may be missing from this page."""
        warned = {
            scope: msgspec.convert(content.get("warning", {}), Warned)
            for scope, content in self.items.items()
        }
        silent = [*self.unreachables, *(scope for scope, one in warned.items() if one.hides)]
        if self.warning is not None and self.warning.hides:
            silent += self.warning.scopes or ([] if silent else [self.warning.message or "a scope"])
        return [scope for scope in dict.fromkeys(silent) if not _is_elsewhere(scope, region)]


def _is_elsewhere(scope: str, region: str) -> bool:
    """True for another region and for its zones, which are called `REGION-...`:
    https://cloud.google.com/compute/docs/regions-zones"""
    parts = scope.split("/")
    kind, name = parts[-2:] if len(parts) > 1 else ("", scope)
    return kind in ("zones", "regions") and not f"{name}-".startswith(f"{region}-")


class Localized(Schema, frozen=True):
    """A message for people."""

    message: str = ""


class ErrorInfo(Schema, frozen=True):
    """Facts about an error, by name."""

    reason: str = ""
    metadatas: dict[str, str] = {}


class ErrorDetail(Schema, frozen=True):
    """One of the details of an operation's error."""

    localized_message: Localized | None = None
    error_info: ErrorInfo | None = None


class OperationError(Schema, frozen=True):
    """One of an operation's errors."""

    code: str = ""
    message: str = ""
    error_details: tuple[ErrorDetail, ...] = ()

    @property
    def explained(self) -> str:
        """The message with what the details add to it: more words, and other zones to try."""
        details = self.error_details
        words = [one.localized_message.message for one in details if one.localized_message]
        zones = [
            one.error_info.metadatas.get("zonesAvailable") for one in details if one.error_info
        ]
        more = [word for word in words if word and word not in self.message]
        more += [f"zones that have some now: {zone}" for zone in zones if zone]
        return " ".join([self.message, *more])


class OperationErrors(Schema, frozen=True):
    """An operation's errors."""

    errors: list[OperationError] = []


class BulkStatus(Schema, frozen=True):
    """How far a bulk insert got in one zone."""

    created_vm_count: int = 0


class BulkMetadata(Schema, frozen=True):
    """How far a bulk insert got."""

    per_location_status: dict[str, BulkStatus] = {}


class Operation(Schema, frozen=True):
    """A long-running operation."""

    kind: str
    name: str
    status: str
    operation_type: str = ""
    operation_group_id: str = ""
    status_message: str = ""
    user: str = ""
    insert_time: str = ""
    error: OperationErrors | None = None
    instances_bulk_insert_operation_metadata: BulkMetadata | None = None

    @property
    def began(self) -> float:
        """When it was asked for, Unix seconds; 0 when that is not said."""
        return datetime.fromisoformat(self.insert_time).timestamp() if self.insert_time else 0.0

    @property
    def errors(self) -> list[OperationError]:
        """What went wrong; empty when nothing did, or nothing yet."""
        return self.error.errors if self.error else []


class Quota(Schema, frozen=True):
    """A limit and how much of it is used."""

    metric: str
    limit: float
    usage: float = 0.0


class MetadataItem(Schema, frozen=True):
    """A key of metadata and its value."""

    key: str = ""
    value: str = ""


class Metadata(Schema, frozen=True):
    """What a project tells all its instances."""

    items: list[MetadataItem] = []

    def is_true(self, key: str) -> bool:
        """Whether a key is set to TRUE."""
        return any(one.key == key and one.value.lower() == "true" for one in self.items)


class Project(Schema, frozen=True):
    """A project."""

    kind: str
    name: str
    quotas: list[Quota] = []
    common_instance_metadata: Metadata = Metadata()


class Region(Schema, frozen=True):
    """A region."""

    kind: str
    name: str
    zones: list[str] = []
    """URLs."""
    quotas: list[Quota] = []


class Deprecated(Schema, frozen=True):
    """That a thing is on its way out."""

    state: str = ""


class LocalSsds(Schema, frozen=True):
    """The local disks that a machine type comes with."""

    partition_count: int = 0


class MachineType(Schema, frozen=True):
    """A machine type in one zone."""

    name: str
    zone: str
    guest_cpus: int
    memory_mb: int
    is_shared_cpu: bool = False
    accelerators: list[object] = []
    bundled_local_ssds: LocalSsds | None = None
    architecture: str = "X86_64"
    deprecated: Deprecated | None = None

    @property
    def processor(self) -> str:
        """`X86_64` or `ARM64`, as images have it."""
        return self.architecture.replace("ARCHITECTURE_UNSPECIFIED", "X86_64")


class Image(Schema, frozen=True):
    """An image."""

    name: str
    self_link: str
    family: str = ""
    architecture: str = "X86_64"
    creation_timestamp: str = ""
    status: str = "READY"
    disk_size_gb: str = "0"
    deprecated: Deprecated | None = None


class Network(Schema, frozen=True):
    """A VPC network."""

    kind: str
    name: str
    auto_create_subnetworks: bool = True
    """False for one in custom mode. Legacy networks, which have no subnetworks, do not say."""
    subnetworks: list[str] = []
    """URLs."""


class Firewall(Schema, frozen=True):
    """A firewall rule."""

    name: str
    id: str = ""
    """A number that no other rule ever has."""
    description: str = ""
    source_ranges: tuple[str, ...] = ()


class Disk(Schema, frozen=True):
    """A persistent disk."""

    name: str
    zone: str = ""
    status: str = ""
    labels: dict[str, str] = {}
    users: list[str] = []
    """URLs of the instances it is attached to."""


class SerialPortOutput(Schema, frozen=True):
    """What an instance printed."""

    contents: str = ""


class RpcDetail(Schema, frozen=True):
    """One of the details of an error, of which some give a reason."""

    reason: str = ""


class ReasonedError(Schema, frozen=True):
    """One of the errors of a refused call."""

    reason: str = ""
    message: str = ""


class Refusal(Schema, frozen=True):
    """The body of a refused call: https://cloud.google.com/apis/design/errors"""

    code: int = 0
    message: str = ""
    status: str = ""
    errors: list[ReasonedError] = []
    details: list[RpcDetail] = []

    @property
    def best_code(self) -> str:
        """The most precise code that it gives: what the details say where the error itself says no
        more than its HTTP status does."""
        reasons = [error.reason for error in self.errors if error.reason not in VAGUE]
        reasons += [detail.reason for detail in self.details]
        reasons += [error.reason for error in self.errors]
        return next(filter(None, [*reasons, self.status]), f"HTTP {self.code}")


class RefusalBody(Schema, frozen=True):
    """The envelope of a refusal."""

    error: Refusal


class Price(Schema, frozen=True):
    """An amount of money."""

    currency_code: str = ""
    units: str = "0"
    nanos: int = 0


class Rate(Schema, frozen=True):
    """What is paid from an amount on."""

    unit_price: Price = Price()


class Expression(Schema, frozen=True):
    """How usage is paid."""

    usage_unit: str = ""
    tiered_rates: list[Rate] = []


class Pricing(Schema, frozen=True):
    """A price at a time."""

    pricing_expression: Expression = Expression()


class Category(Schema, frozen=True):
    """What kind of thing is sold."""

    resource_family: str = ""
    usage_type: str = ""


class Sku(Schema, frozen=True):
    """One entry of the price list."""

    description: str = ""
    category: Category = Category()
    service_regions: list[str] = []
    pricing_info: list[Pricing] = []


class SkuPage(Schema, frozen=True):
    """A page of it."""

    skus: list[Sku] = []
    next_page_token: str = ""


def last(url: str) -> str:
    """The name at the end of a resource's URL."""
    return url.rpartition("/")[2]
