"""moto made to behave like EC2 where it does not. Each difference has its source beside it.

The lab holds itself to what AWS documents: listings and ids that are late for as long as a test
says (`Timing`, which has a clock of its own); policies that are asked before anything else; dry
runs; buckets of requests and of instances; quotas of vCPUs by family; the free plan; images that
are not there, not shared or of another architecture; the spot role; idempotency tokens; what holds
what.

It cannot know how late a real listing is, what capacity there is, or which of several refusals
comes first. Of a dry run it knows that permissions are looked at, and what these are about.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from xml.etree.ElementTree import Element

from tests.labs.aws.call import (
    ACCOUNT,
    DROPPED,
    AwsError,
    Call,
    Reply,
    answer,
    get,
    instances,
    matches,
    named,
    put,
    tag_set,
)
from tests.labs.aws.faults import Faults, denied
from tests.labs.aws.launching import MOTO_VOLUME, Forward, LaunchRules
from tests.labs.aws.price_list import ENDPOINTS, PriceList
from tests.labs.aws.quotas import Quotas
from tests.labs.aws.roles import Roles
from tests.labs.aws.throttling import Throttling
from tests.labs.aws.wire_model import document_violations, violations

TAGGED = {
    "TerminateInstances": ("InstanceId", "instance", "DescribeInstances", "instance-id"),
    "DeleteNetworkInterface": (
        "NetworkInterfaceId",
        "network-interface",
        "DescribeNetworkInterfaces",
        "network-interface-id",
    ),
    "DeleteVolume": ("VolumeId", "volume", "DescribeVolumes", "volume-id"),
    "DeleteSecurityGroup": ("GroupId", "security-group", "DescribeSecurityGroups", "group-id"),
}
"""What a policy may narrow by tag: the parameter, the noun in its name, how it is listed by id."""
SERVICES = {"servicequotas": "service-quotas"}
"""What a signature calls a service to what botocore calls it, where these differ."""
INTERRUPTED = "Server.SpotInstanceTermination: Spot instance termination"
POWERED_OFF = "Client.InstanceInitiatedShutdown: Instance initiated shutdown"


@dataclass
class Instance:
    """What the lab knows of an instance besides what moto does."""

    id: str
    region: str
    market: str
    launched_at: float
    groups: list[str]
    request_tags: dict[str, str]
    user_data: str
    address: str
    private_address: str
    zone: str
    size: str
    running: bool = True
    """False while the machine behind it has not started."""
    terminated_at: float | None = None
    noticed_at: float | None = None
    """When its interruption was announced."""
    forgotten: bool = False
    """True once the cloud no longer knows it at all, as an hour after its end."""
    reason: str = ""
    """Why it ended, as https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
    spells it; empty for what moto says."""

    @property
    def ended(self) -> bool:
        """True once it was told to end."""
        return self.terminated_at is not None


@dataclass
class Timing:
    """How slow the cloud is, in seconds."""

    listing_delay: float = 0.0
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html: an instance that
    was just made is not listed yet, and unknown by its id; nor is listed what was made with it."""
    group_delay: float = 0.0
    """The same page: a security group that was just made is not listed yet, and unknown by its
    id."""
    going: float = 0.0
    """How long an instance is `shutting-down`, which moto skips:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html"""
    quota_delay: float = 0.0
    """How long an instance still counts for its quota after it ended: "until Amazon EC2 detects
    the Spot Instance terminations and closes the requests",
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html"""
    clock: Callable[[], float] = time.monotonic


@dataclass
class Cloud:
    """The behaviour of EC2 over moto's. Calls come from several threads."""

    forward: Forward
    faults: Faults = field(default_factory=Faults)
    timing: Timing = field(default_factory=Timing)
    prices: dict[tuple[str, str], float] = field(default_factory=dict)
    """(zone, size) to USD per hour on the spot market; others are moto's."""
    price_list: PriceList = field(default_factory=PriceList)
    calls: list[Call] = field(default_factory=list)
    """Every call that arrived."""
    wrong: list[str] = field(default_factory=list)
    """Every breach of the services' models."""
    known: dict[str, Instance] = field(default_factory=dict)
    groups: dict[str, float] = field(default_factory=dict)
    """Id of each security group to when it was made."""
    only_tagged: bool = False
    """True where a policy allows to end only what has our tag, as docs/providers/aws.md proposes.
    What is gone, or not visible yet, has no tags."""
    on_change: list[Callable[[], None]] = field(default_factory=list)
    """Called after instances came or went."""
    console: Callable[[str], str] | None = None
    """What the machine behind an instance printed."""
    boots_later: bool = False
    """True when someone starts machines behind the instances and says so in `Instance.running`."""
    rules: LaunchRules = field(init=False)
    throttling: Throttling = field(default_factory=Throttling)
    _tokens: dict[tuple[str, str], tuple[dict[str, str], Reply]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.rules = LaunchRules(self.forward)

    @property
    def quotas(self) -> Quotas:
        """What the account may run."""
        return self.rules.quotas

    @property
    def roles(self) -> Roles:
        """What the account's roles are."""
        return self.rules.roles

    @property
    def image_sizes(self) -> dict[str, int]:
        """Image to GiB of its snapshot; others are moto's."""
        return self.rules.image_sizes

    def handle(self, call: Call) -> Reply:
        """Answer one call."""
        with self._lock:
            self.calls.append(call)
            try:
                return self._answer(call)
            except AwsError as error:
                return error.reply(call.service)

    def _answer(self, call: Call) -> Reply:
        if wrong := _breaches(call):
            self.wrong += wrong
            raise AwsError("UnknownParameter", "; ".join(wrong))
        if call.service == "pricing" and call.region not in ENDPOINTS:
            self.wrong.append(f"no endpoint of the Price List API in {call.region}")
            return DROPPED
        fault = self.faults.take(call)
        if fault and fault.error:
            raise fault.error
        if fault and fault.lose == "request":
            return DROPPED
        self.throttling.take(call, self.timing.clock())
        reply = self._behave(call)
        return DROPPED if fault else reply

    def _behave(self, call: Call) -> Reply:
        behaviour = {
            "RunInstances": self._run,
            "DescribeImages": self._images,
            "TerminateInstances": self._terminate,
            "DescribeInstances": self._describe,
            "DescribeSpotInstanceRequests": self._requests,
            "CancelSpotInstanceRequests": self._cancel,
            "DescribeSpotPriceHistory": self._spot_prices,
            "GetConsoleOutput": self._console,
            "CreateSecurityGroup": self._create_group,
            "AuthorizeSecurityGroupIngress": self._authorize,
            "RevokeSecurityGroupIngress": self._authorize,
            "DescribeSecurityGroups": self._describe_groups,
            "DescribeVolumes": self._describe_volumes,
            "DescribeNetworkInterfaces": self._describe_interfaces,
            "DeleteSecurityGroup": self._delete_group,
            "GetServiceQuota": self.quotas.get,
            "GetAWSDefaultServiceQuota": self.quotas.get_default,
            "ListServiceQuotas": self.quotas.list,
            "GetProducts": self.price_list.get_products,
            "GetRole": self.roles.get,
        }.get(call.action)
        if self.only_tagged:
            self._refuse_untagged(call)
        if call.parameters.get("DryRun") == "true":
            return self._dry_run(call)
        return behaviour(call) if behaviour else self.forward(call, dict(call.parameters))

    def _run(self, call: Call) -> Reply:
        """https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html: a repeated
        token gives the first answer again, and other parameters under it are an error. moto
        ignores the token.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html: as many as
        there is capacity for, between MinCount and MaxCount. moto always launches MinCount.
        """
        asked = dict(call.parameters)
        token = (call.region, asked.get("ClientToken", ""))
        if token[1] and token in self._tokens:
            first, reply = self._tokens[token]
            if first != asked:
                raise AwsError("IdempotentParameterMismatch", "other parameters for this token")
            return reply
        self._refuse_unknown_groups(call)
        self.rules.check(call, self._counted(call.region))
        market = asked.get("InstanceMarketOptions.MarketType", "on-demand")
        count = int(asked["MaxCount"])
        granted = self.faults.grant(self._zone(call), asked["InstanceType"], market, count)
        if granted < int(asked["MinCount"]):
            raise AwsError("InsufficientInstanceCapacity", "fewer than MinCount", 500)
        reply = self.forward(call, {**asked, "MinCount": str(granted), "MaxCount": str(granted)})
        if not reply.ok:
            return reply
        root = reply.xml()
        for _, item in instances(root):
            self._remember(call, item, market)
        reply = answer(root)
        self._tokens[token] = asked, reply
        self._changed()
        return reply

    def _dry_run(self, call: Call) -> Reply:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html, `DryRun`:
        whoever has the permissions is told DryRunOperation, with
        https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-troubleshooting.html's status.
        moto passes this over for what reads."""
        if call.action == "RunInstances":
            self.rules.check_image(call)
        words = "Request would have succeeded, but DryRun flag is set."
        raise AwsError("DryRunOperation", words, 412)

    def _counted(self, region: str) -> list[tuple[str, str]]:
        """Size and market of the instances that a region's quotas count."""
        now, late = self.timing.clock(), self.timing.quota_delay
        return [
            (one.size, one.market)
            for one in self.known.values()
            if one.region == region
            and (one.terminated_at is None or now - one.terminated_at < late)
        ]

    def _images(self, call: Call) -> Reply:
        """moto gives every image the same size, and shows those of others that are not shared."""
        wanted = set(call.listed("ImageId")) & self.rules.private_images
        if wanted:
            raise AwsError("AuthFailure", f"Not authorized for images: [{wanted.pop()}]", 401)

        def private(item: Element) -> bool:
            return get(item, "imageId") in self.rules.private_images

        reply = self._without(call, "imagesSet", private)
        if not reply.ok:
            return reply
        root = reply.xml()
        for item in root.iterfind(named("imagesSet/item")):
            size = self.image_sizes.get(get(item, "imageId"), MOTO_VOLUME)
            put(item, "blockDeviceMapping/item/ebs/volumeSize", str(size))
        return answer(root)

    def _remember(self, call: Call, item: Element, market: str) -> None:
        put(item, "instanceState/code", "0")
        put(item, "instanceState/name", "pending")
        known = Instance(
            id=get(item, "instanceId"),
            region=call.region,
            market=market,
            launched_at=self.timing.clock(),
            groups=_groups(call),
            request_tags=call.tags_for("spot-instances-request"),
            user_data=call.parameters.get("UserData", ""),
            address=get(item, "ipAddress"),
            private_address=self._free_address(get(item, "privateIpAddress")),
            zone=get(item, "placement/availabilityZone"),
            size=get(item, "instanceType"),
            running=not self.boots_later,
        )
        self.known[known.id] = known
        put(item, "privateIpAddress", known.private_address)

    def _free_address(self, wanted: str) -> str:
        """Regions have networks of their own, but here their machines share one."""
        taken = {instance.private_address for instance in self.known.values()}
        address = ip_address(wanted)
        while str(address) in taken:
            address += 1
        return str(address)

    def _zone(self, call: Call) -> str:
        subnet = call.parameters.get("NetworkInterface.1.SubnetId", "")
        question = {
            "Action": "DescribeSubnets",
            "Version": "2016-11-15",
            "Filter.1.Name": "subnet-id",
            "Filter.1.Value.1": subnet,
        }
        found = self.forward(call, question).xml()
        return get(found, "subnetSet/item/availabilityZone")

    def _terminate(self, call: Call) -> Reply:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html: an
        unknown instance, and so one that is not visible yet, lets the whole call fail; one that
        is ended already is no error, on which moto stumbles over the deleted interface.
        """
        ids = call.listed("InstanceId")
        self._refuse_unseen(ids)
        fresh = [id_ for id_ in ids if id_ not in self.known or not self.known[id_].ended]
        if fresh:
            kept = {k: v for k, v in call.parameters.items() if not k.startswith("InstanceId.")}
            numbered = {f"InstanceId.{number}": id_ for number, id_ in enumerate(fresh, 1)}
            reply = self.forward(call, {**kept, **numbered})
            if not reply.ok:
                return reply
            self.went(fresh)
        root = Element(named("TerminateInstancesResponse"))
        holder = Element(named("instancesSet"))
        root.append(holder)
        for id_ in ids:
            item = Element(named("item"))
            put(item, "instanceId", id_)
            put(item, "currentState/code", "32")
            put(item, "currentState/name", "shutting-down")
            holder.append(item)
        return answer(root)

    def went(self, ids: list[str], reason: str = "") -> None:
        """Note that these instances end now, and why."""
        with self._lock:
            for id_ in ids:
                if (known := self.known.get(id_)) and not known.ended:
                    known.terminated_at = self.timing.clock()
                    known.reason = reason
        self._changed()

    def _describe(self, call: Call) -> Reply:
        """Late to list, slow to end, and truthful about who ended it."""
        self._refuse_unseen(call.listed("InstanceId"))
        wanted = call.filters().get("instance-state-name")
        going = any(i.region == call.region and self._going(i) for i in self.known.values())
        reply = self.forward(call, _also_terminated(call) if going else dict(call.parameters))
        if not reply.ok:
            return reply
        root = reply.xml()
        for holder, item in list(instances(root)):
            known = self.known.get(get(item, "instanceId"))
            if known:
                self._dress(item, known)
            hidden = known is not None and self._unseen(known)
            if hidden or (wanted and get(item, "instanceState/name") not in wanted):
                holder.remove(item)
        for reservations in root.findall(named("reservationSet")):
            for reservation in reservations.findall(named("item")):
                if reservation.find(named("instancesSet/item")) is None:
                    reservations.remove(reservation)
        return answer(root)

    def _dress(self, item: Element, known: Instance) -> None:
        if known.terminated_at is not None and self._going(known):
            put(item, "instanceState/code", "32")
            put(item, "instanceState/name", "shutting-down")
        put(item, "privateIpAddress", known.private_address)
        if not known.ended and not known.running:
            put(item, "instanceState/code", "0")
            put(item, "instanceState/name", "pending")
        if known.reason:
            put(item, "stateReason/code", known.reason.partition(":")[0])
            put(item, "stateReason/message", known.reason)

    def _requests(self, call: Call) -> Reply:
        """RunInstances makes a spot request for each spot instance, with the tags given for it:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-requests.html. moto does not.
        """
        root = Element(named("DescribeSpotInstanceRequestsResponse"))
        holder = Element(named("spotInstanceRequestSet"))
        root.append(holder)
        wanted = call.filters()
        keys = set(wanted.pop("tag-key", []))
        for known in self.known.values():
            if known.market != "spot" or known.region != call.region or self._unseen(known):
                continue
            state, code = self._request_state(known)
            facts = {"instance-id": known.id, "state": state}
            facts |= {f"tag:{key}": value for key, value in known.request_tags.items()}
            if matches(wanted, facts) and (not keys or keys & known.request_tags.keys()):
                item = Element(named("item"))
                put(item, "spotInstanceRequestId", f"sir-{known.id[2:]}")
                put(item, "state", state)
                put(item, "status/code", code)
                put(item, "instanceId", known.id)
                item.append(tag_set(known.request_tags))
                holder.append(item)
        return answer(root)

    def _request_state(self, known: Instance) -> tuple[str, str]:
        """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html"""
        if known.terminated_at is not None:
            if known.reason == INTERRUPTED:
                return "closed", "instance-terminated-no-capacity"
            return "closed", "instance-terminated-by-user"
        if known.noticed_at is not None:
            return "active", "marked-for-termination"
        return "active", "fulfilled"

    def _cancel(self, call: Call) -> Reply:
        root = Element(named("CancelSpotInstanceRequestsResponse"))
        root.append(Element(named("spotInstanceRequestSet")))
        return answer(root)

    def _spot_prices(self, call: Call) -> Reply:
        """moto gives every place the same price, of long ago."""
        reply = self.forward(call, dict(call.parameters))
        if not reply.ok:
            return reply
        root = reply.xml()
        for item in root.iter(named("item")):
            place = get(item, "availabilityZone"), get(item, "instanceType")
            if place in self.prices:
                put(item, "spotPrice", f"{self.prices[place]:.6f}")
        return answer(root)

    def _console(self, call: Call) -> Reply:
        """The machine's own words; moto has some of its own."""
        id_ = call.parameters.get("InstanceId", "")
        if self.console is None or id_ not in self.known:
            return self.forward(call, dict(call.parameters))
        root = Element(named("GetConsoleOutputResponse"))
        put(root, "instanceId", id_)
        put(root, "output", base64.b64encode(self.console(id_).encode()[-65536:]).decode())
        return answer(root)

    def _create_group(self, call: Call) -> Reply:
        reply = self.forward(call, dict(call.parameters))
        if reply.ok:
            self.groups[get(reply.xml(), "groupId")] = self.timing.clock()
        return reply

    def _authorize(self, call: Call) -> Reply:
        self._refuse_unseen_group(call.parameters.get("GroupId", ""))
        return self.forward(call, dict(call.parameters))

    def _describe_groups(self, call: Call) -> Reply:
        def late(item: Element) -> bool:
            return self._unseen_group(get(item, "groupId"))

        return self._without(call, "securityGroupInfo", late)

    def _describe_volumes(self, call: Call) -> Reply:
        return self._without(
            call, "volumeSet", lambda item: self._late(item, "attachmentSet/item/instanceId")
        )

    def _describe_interfaces(self, call: Call) -> Reply:
        return self._without(
            call, "networkInterfaceSet", lambda item: self._late(item, "attachment/instanceId")
        )

    def _late(self, item: Element, instance: str) -> bool:
        """True for what is attached to an instance that is not visible yet."""
        known = self.known.get(get(item, instance))
        return known is not None and self._unseen(known)

    def _without(self, call: Call, listing: str, hidden: Callable[[Element], bool]) -> Reply:
        """moto's listing, without what is hidden."""
        reply = self.forward(call, dict(call.parameters))
        if not reply.ok:
            return reply
        root = reply.xml()
        for holder in root.findall(named(listing)):
            for item in holder.findall(named("item")):
                if hidden(item):
                    holder.remove(item)
        return answer(root)

    def _delete_group(self, call: Call) -> Reply:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html: a
        group that an instance still has cannot be deleted. moto forgets at once."""
        group = call.parameters.get("GroupId", "")
        self._refuse_unseen_group(group)
        for known in self.known.values():
            if group in known.groups and (known.terminated_at is None or self._going(known)):
                raise AwsError("DependencyViolation", f"resource {group} has a dependent object")
        self._refuse_named_group(call, group)
        return self.forward(call, dict(call.parameters))

    def _refuse_named_group(self, call: Call, group: str) -> None:
        """The same page: nor can one that a rule of another group names."""
        question = {"Action": "DescribeSecurityGroups", "Version": "2016-11-15"}
        root = self.forward(call, question).xml()
        for item in root.iterfind("{*}securityGroupInfo/{*}item"):
            sources = item.iterfind("{*}ipPermissions/{*}item/{*}groups/{*}item")
            named = {get(one, "groupId") for one in sources}
            if group in named and get(item, "groupId") != group:
                raise AwsError("DependencyViolation", f"resource {group} has a dependent object")

    def _refuse_unseen(self, ids: list[str]) -> None:
        unseen = [id_ for id_ in ids if id_ in self.known and self._unseen(self.known[id_])]
        if unseen:
            one = f"The instance ID '{unseen[0]}' does not exist"
            all_ = f"The instance IDs '{', '.join(unseen)}' do not exist"
            raise AwsError("InvalidInstanceID.NotFound", one if len(unseen) == 1 else all_)

    def _refuse_unknown_groups(self, call: Call) -> None:
        """moto launches with groups that do not exist."""
        for group in _groups(call):
            self._refuse_unseen_group(group)
            question = {"Action": "DescribeSecurityGroups", "GroupId.1": group}
            found = self.forward(call, {**question, "Version": "2016-11-15"})
            if not found.ok:
                words = f"The security group '{group}' does not exist"
                raise AwsError("InvalidGroup.NotFound", words)

    def _refuse_unseen_group(self, group: str) -> None:
        if self._unseen_group(group):
            raise AwsError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")

    def _unseen_group(self, group: str) -> bool:
        made_at = self.groups.get(group)
        return made_at is not None and self.timing.clock() - made_at < self.timing.group_delay

    def _refuse_untagged(self, call: Call) -> None:
        """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html: a policy
        is asked before anything else, and refuses the whole call for one resource without tags."""
        if call.action not in TAGGED:
            return
        parameter, noun, listing, name = TAGGED[call.action]
        for id_ in call.listed(parameter) or [call.parameters[parameter]]:
            known = self.known.get(id_)
            unseen = self._unseen(known) if known else self._unseen_group(id_)
            question = {"Filter.1.Name": name, "Filter.1.Value.1": id_, "Filter.2.Name": "tag-key"}
            question |= {"Filter.2.Value.1": "spotdeploy-deployment", "Action": listing}
            found = self.forward(call, {**question, "Version": "2016-11-15"})
            if unseen or id_ not in found.body.decode():
                arn = f"arn:aws:ec2:{call.region}:{ACCOUNT}:{noun}/{id_}"
                raise denied("ec2", call.action, arn)

    def _unseen(self, known: Instance) -> bool:
        late = self.timing.clock() - known.launched_at < self.timing.listing_delay
        return known.forgotten or late

    def _going(self, known: Instance) -> bool:
        ended = known.terminated_at
        return ended is not None and self.timing.clock() - ended < self.timing.going

    def _changed(self) -> None:
        for tell in self.on_change:
            tell()


def _breaches(call: Call) -> list[str]:
    """What the service would not take of a call. What STS takes is left to moto."""
    if call.service == "sts":
        return []
    service = SERVICES.get(call.service, call.service)
    if target := call.headers.get("X-Amz-Target"):
        return document_violations(target, call.document, service)
    return violations(call.parameters, service)


def _groups(call: Call) -> list[str]:
    """The security groups that a launch asks for."""
    return [value for key, value in call.parameters.items() if "SecurityGroupId." in key]


def _also_terminated(call: Call) -> dict[str, str]:
    """What is `shutting-down` here is `terminated` to moto, so a filter must let that through."""
    parameters = dict(call.parameters)
    for key, name in call.parameters.items():
        if name == "instance-state-name" and key.endswith(".Name"):
            prefix = key.removesuffix("Name") + "Value."
            values = {k: v for k, v in parameters.items() if k.startswith(prefix)}
            if "shutting-down" in values.values() and "terminated" not in values.values():
                parameters[f"{prefix}{len(values) + 1}"] = "terminated"
    return parameters
