"""The AWS lab: moto behind a proxy that makes it behave like EC2."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from spotdeploy import labels
from tests.labs.aws.call import Call, Reply, get, instances
from tests.labs.aws.cloud import INTERRUPTED, Cloud, Timing
from tests.labs.aws.faults import Faults
from tests.labs.aws.moto_server import MotoServer
from tests.labs.aws.proxy import SECRETS, Proxy, Upstream
from tests.labs.lab import Lab
from tests.labs.network import Network

REGIONS = ("us-west-2", "eu-west-1")
"""Where tests make things."""
ACCESS_KEY = next(iter(SECRETS))


class AwsLab(Lab[Call, Faults, Timing]):
    """An AWS: `wrong` is what EC2 would not have taken."""

    cloud: Cloud

    def __init__(
        self, folder: Path, moto: MotoServer | None = None, network: Network | None = None
    ) -> None:
        """`moto` may be shared by several labs, one after the other; without it, one is run."""
        super().__init__(network)
        self._moto = moto or MotoServer(folder, self.network)
        self._own_moto = moto is None
        self._upstream = Upstream(self._moto, self.network)
        self.cloud = Cloud(self._upstream.forward)

    def start(self) -> None:
        """See `Lab`; moto has nothing then."""
        if self._own_moto:
            self._moto.start()
        self._moto.reset()
        super().start()

    def stop(self) -> None:
        """See `Lab`."""
        super().stop()
        self._upstream.close()
        if self._own_moto:
            self._moto.stop()

    def server(self, listener: socket.socket) -> Proxy:
        """See `Lab`."""
        return Proxy(listener, self.cloud.handle)

    @property
    def environment(self) -> dict[str, str]:
        """See `Lab`; with this, clients come here and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRETS[ACCESS_KEY],
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def table(self) -> dict[str, str]:
        """See `Lab`."""
        return {"address_service": self.url}

    @property
    def credentials(self) -> Sequence[str]:
        """See `Lab`."""
        return (SECRETS[ACCESS_KEY],)

    def called(self) -> list[str]:
        """See `Lab`."""
        return [call.action for call in self.calls]

    def ids(self) -> list[str]:
        """See `Lab`."""
        return [one.id for one in self.cloud.known.values() if not one.ended]

    def address(self, id_: str) -> str | None:
        """See `Lab`."""
        return self.cloud.known[id_].address or None

    def instances(self, region: str) -> dict[str, str]:
        """Id to state of every instance in a region that moto holds and is not terminated."""
        question = {"Action": "DescribeInstances", "MaxResults": "1000"}
        root = self.ask(region, question).xml()
        found = {get(i, "instanceId"): get(i, "instanceState/name") for _, i in instances(root)}
        return {id_: state for id_, state in found.items() if state != "terminated"}

    def remains(self) -> list[str]:
        """See `Lab`: what carries a deployment's label and still exists in moto."""
        return [thing for region in REGIONS for thing in self._remains_in(region)]

    def _remains_in(self, region: str) -> list[str]:
        mine = {"Filter.1.Name": "tag-key", "Filter.1.Value.1": labels.DEPLOYMENT}
        things = list(self.instances(region))
        for action, id_ in (
            ("DescribeVolumes", "volumeSet/{*}item/{*}volumeId"),
            ("DescribeNetworkInterfaces", "networkInterfaceSet/{*}item/{*}networkInterfaceId"),
            ("DescribeSecurityGroups", "securityGroupInfo/{*}item/{*}groupId"),
        ):
            root = self.ask(region, {"Action": action, **mine}).xml()
            things += [str(found.text) for found in root.iterfind(f"{{*}}{id_}")]
        return things

    def forget(self, id_: str) -> None:
        """End an instance and keep no record of it."""
        self.end([id_])
        self.cloud.known[id_].forgotten = True

    def notify(self, id_: str) -> None:
        """See `Lab`: EC2 does it two minutes before."""
        known = self.cloud.known[id_]
        known.noticed_at = known.noticed_at or self.timing.clock()

    def interrupt(self, id_: str) -> None:
        """See `Lab`: EC2 does it when the notice has run out."""
        self.notify(id_)
        self.end([id_], INTERRUPTED)

    def end(self, ids: Sequence[str], reason: str = "") -> None:
        """End instances of one region behind the client's back."""
        region = self.cloud.known[ids[0]].region
        numbered = {f"InstanceId.{n}": id_ for n, id_ in enumerate(ids, 1)}
        self.cloud.went(list(ids), reason)  # first: who asks meanwhile is told the same reason
        self.ask(region, {"Action": "TerminateInstances", **numbered})

    def ask(self, region: str, parameters: dict[str, str]) -> Reply:
        """Ask moto itself, past the proxy."""
        scope = f"{ACCESS_KEY}/20260101/{region}/ec2/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=, Signature="
        }
        call = Call(parameters["Action"], "ec2", region, parameters, headers)
        return self._upstream.forward(call, {"Version": "2016-11-15", **parameters})
