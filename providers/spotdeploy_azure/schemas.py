"""The parts of Azure's answers that are read, as types; what is not read is let through.

https://learn.microsoft.com/en-us/rest/api/azure/
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec


class Schema(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of all."""


class Page(Schema, frozen=True):
    """One page of a listing."""

    value: list[object]
    next_link: str | None = None


class Reference(Schema, frozen=True):
    """The id of another resource."""

    id: str = ""


class State(Schema, frozen=True):
    """How far the making or deleting of a thing is."""

    provisioning_state: str = ""


class Group(Schema, frozen=True):
    """A resource group."""

    name: str
    location: str
    tags: dict[str, str] | None = None
    properties: State = State()

    @property
    def going(self) -> bool:
        """True once it is being deleted."""
        return self.properties.provisioning_state in ("Deleting", "Deprovisioning")


class ErrorDetail(Schema, frozen=True):
    """An error, which may have its causes inside it."""

    code: str = ""
    message: str | None = None
    target: str | None = None
    details: list[ErrorDetail] | None = None


class RefusalBody(Schema, frozen=True):
    """The envelope of a refusal."""

    error: ErrorDetail


class LoginRefusal(Schema, frozen=True, rename=None):
    """What the login answers instead of a token."""

    error: str
    error_description: str = ""


class Token(Schema, frozen=True, rename=None):
    """An access token."""

    access_token: Annotated[str, msgspec.Meta(pattern=r"^[!-~]+$")]
    expires_in: (
        Annotated[str, msgspec.Meta(pattern=r"^\d{1,9}$")]
        | Annotated[int, msgspec.Meta(ge=0, lt=10**9)]
    )


class FederatedToken(Schema, frozen=True):
    """GitHub's answer: a token that says which job this is."""

    value: Annotated[str, msgspec.Meta(pattern=r"^[!-~]+$")]


class DeploymentState(State, frozen=True):
    """What became of a deployment."""

    error: ErrorDetail | None = None


class SecurityRuleProperties(Schema, frozen=True):
    """What a rule lets in."""

    source_address_prefixes: list[str] | None = None


class SecurityRule(Schema, frozen=True):
    """A rule of a security group."""

    name: str
    properties: SecurityRuleProperties


class SecurityGroupProperties(State, frozen=True):
    """The rules of a security group."""

    security_rules: list[SecurityRule] | None = None


class SecurityGroup(Schema, frozen=True):
    """A network security group."""

    location: str
    tags: dict[str, str] | None = None
    properties: SecurityGroupProperties = SecurityGroupProperties()


class Deployment(Schema, frozen=True):
    """A deployment of a template."""

    name: str
    properties: DeploymentState

    @property
    def over(self) -> bool:
        """True once nothing more will come of it."""
        return self.properties.provisioning_state in ("Succeeded", "Failed", "Canceled")


class Status(Schema, frozen=True):
    """One status of the instance view."""

    code: str = ""
    display_status: str = ""
    message: str | None = None


class InstanceView(Schema, frozen=True):
    """What a virtual machine is doing."""

    statuses: list[Status] | None = None


class Hardware(Schema, frozen=True):
    """A virtual machine's size."""

    vm_size: str | None = None


class VirtualMachineState(State, frozen=True):
    """A virtual machine's properties."""

    hardware_profile: Hardware = Hardware()
    priority: str = "Regular"
    instance_view: InstanceView | None = None
    time_created: datetime | None = None


class VirtualMachine(Schema, frozen=True):
    """A virtual machine."""

    id: str
    name: str
    location: str
    tags: dict[str, str] | None = None
    zones: list[str] | None = None
    properties: VirtualMachineState = VirtualMachineState()

    @property
    def statuses(self) -> list[Status]:
        """What it is doing, as far as it was asked for."""
        view = self.properties.instance_view
        return view.statuses or [] if view else []


class IpConfigurationState(Schema, frozen=True):
    """The addresses of an interface."""

    private_ip_address: str | None = msgspec.field(name="privateIPAddress", default=None)
    public_ip_address: Reference | None = msgspec.field(name="publicIPAddress", default=None)


class IpConfiguration(Schema, frozen=True):
    """One address of an interface."""

    properties: IpConfigurationState = IpConfigurationState()


class InterfaceState(Schema, frozen=True):
    """An interface's properties."""

    virtual_machine: Reference | None = None
    ip_configurations: list[IpConfiguration] = []


class Interface(Schema, frozen=True):
    """A network interface."""

    id: str
    properties: InterfaceState = InterfaceState()


class PublicAddressState(Schema, frozen=True):
    """A public address's properties."""

    ip_address: str | None = None


class PublicAddress(Schema, frozen=True):
    """A public address."""

    id: str
    properties: PublicAddressState = PublicAddressState()


class Capability(Schema, frozen=True):
    """A fact about a size."""

    name: str
    value: str


class Restriction(Schema, frozen=True):
    """Where a size cannot be had, and why."""

    type: str = ""
    restriction_info: RestrictionInfo | None = None


class RestrictionInfo(Schema, frozen=True):
    """The places of a restriction."""

    zones: list[str] | None = None


class LocationInfo(Schema, frozen=True):
    """The zones in which a size is sold."""

    zones: list[str] | None = None


class Sku(Schema, frozen=True):
    """A size as it is sold in one location."""

    resource_type: str
    name: str
    family: str = ""
    location_info: list[LocationInfo] | None = None
    capabilities: list[Capability] | None = None
    restrictions: list[Restriction] | None = None


class Named(Schema, frozen=True):
    """A thing of which only the name is read."""

    name: str


class UsageName(Schema, frozen=True):
    """A quota's name."""

    value: str
    localized_value: str = ""


class Usage(Schema, frozen=True):
    """A quota and how much of it is used."""

    name: UsageName
    current_value: int
    limit: int


class Subscription(Schema, frozen=True):
    """A subscription."""

    subscription_id: str
    display_name: str = ""
    state: str = ""


class ResourceType(Schema, frozen=True):
    """A kind of thing that a resource provider makes."""

    resource_type: str
    locations: list[str] = []
    """Display names, such as "East US"."""


class ResourceProvider(Schema, frozen=True):
    """A part of Azure that a subscription must be registered with."""

    namespace: str
    registration_state: str
    resource_types: list[ResourceType] = []


class Permission(Schema, frozen=True):
    """What the caller may do."""

    actions: list[str] = []
    not_actions: list[str] = []


class Localized(Schema, frozen=True):
    """A name of the API's."""

    value: str = ""


class EventProperties(Schema, frozen=True):
    """What belongs to an entry of the activity log."""

    status_message: str = ""
    """The answer of what failed, as text."""


class Event(Schema, frozen=True):
    """An entry of the activity log."""

    operation_name: Localized = Localized()
    status: Localized = Localized()
    caller: str = ""
    event_timestamp: str = ""
    properties: EventProperties | None = None


class Console(Schema, frozen=True):
    """Where the console's text can be read for a while."""

    serial_console_log_blob_uri: str | None = None


class Price(Schema, frozen=True):
    """One price. https://learn.microsoft.com/en-us/rest/api/cost-management/retail-prices/azure-retail-prices"""

    arm_sku_name: str
    sku_name: str
    product_name: str
    retail_price: float
    unit_of_measure: str = ""
    type: str = "Consumption"
    currency_code: str = "USD"
    effective_start_date: datetime | None = None
    effective_end_date: datetime | None = None


class PricePage(Schema, frozen=True, rename="pascal"):
    """One page of prices."""

    items: list[Price]
    next_page_link: str | None = None
