"""The AWS lab: moto behind a proxy that makes it behave like EC2."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from spotdeploy import labels
from tests.labs.aws.call import Call, Reply, get, instances
from tests.labs.aws.cloud import INTERRUPTED, Cloud, Timing
from tests.labs.aws.faults import Faults
from tests.labs.aws.moto_server import MotoServer
from tests.labs.aws.proxy import SECRETS, Proxy, Upstream
from tests.labs.network import Loopback, Network

HOST = "127.0.0.1"
ACCESS_KEY = next(iter(SECRETS))
ACCOUNT = "123456789012"
"""moto's."""


class AwsLab:
    """An AWS to test against, on 127.0.0.1. A context manager.

    Clients find it by `environment`; everything else is for the test: `faults` says what goes
    wrong, `timing` how slow it is, `calls` what arrived, `wrong` what EC2 would not have taken.
    """

    def __init__(
        self, folder: Path, moto: MotoServer | None = None, network: Network | None = None
    ) -> None:
        """`moto` may be shared by several labs, one after the other; without it, one is run."""
        self.network = network or Loopback()
        self._moto = moto or MotoServer(folder, self.network)
        self._own_moto = moto is None

    def __enter__(self) -> AwsLab:
        if self._own_moto:
            self._moto.start()
        self._moto.reset()
        self._upstream = Upstream(self._moto.address, self.network)
        self.cloud = Cloud(self._upstream.forward)
        listener = self.network.listener(HOST)
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        self._proxy = Proxy(listener, self.cloud.handle)
        self._proxy.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._proxy.stop()
        self._upstream.close()
        if self._own_moto:
            self._moto.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What a client's environment must have to come here and nowhere else."""
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
        """What `[provider.aws]` must have beside that."""
        return {"address_service": self.url}

    @property
    def faults(self) -> Faults:
        """The script of what goes wrong."""
        return self.cloud.faults

    @property
    def timing(self) -> Timing:
        """How slow the cloud is."""
        return self.cloud.timing

    @property
    def calls(self) -> list[Call]:
        """Every call since the start, or since `forget_calls`."""
        return self.cloud.calls

    @property
    def wrong(self) -> list[str]:
        """What EC2 would not have taken."""
        return self.cloud.wrong

    def forget_calls(self) -> None:
        """Count from here."""
        self.cloud.calls.clear()

    def actions(self) -> list[str]:
        """The actions called, in order."""
        return [call.action for call in self.calls]

    def instances(self, region: str) -> dict[str, str]:
        """Id to state of every instance in a region that moto holds and is not terminated."""
        question = {"Action": "DescribeInstances", "MaxResults": "1000"}
        root = self.ask(region, question).xml()
        found = {get(i, "instanceId"): get(i, "instanceState/name") for _, i in instances(root)}
        return {id_: state for id_, state in found.items() if state != "terminated"}

    def remains(self, region: str) -> list[str]:
        """Everything in a region that carries a deployment's label and still exists in moto."""
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

    def forget(self, instance: str) -> None:
        """End an instance and keep no record of it."""
        self.end([instance])
        self.cloud.known[instance].forgotten = True

    def notify(self, instance: str) -> None:
        """Announce the interruption of a spot instance, as EC2 does two minutes before it."""
        known = self.cloud.known[instance]
        known.noticed_at = known.noticed_at or self.timing.clock()

    def interrupt(self, instance: str) -> None:
        """Take a spot instance back, as EC2 does when the notice has run out."""
        self.notify(instance)
        self.end([instance], INTERRUPTED)

    def end(self, ids: Sequence[str], reason: str = "") -> None:
        """End instances of one region behind the client's back."""
        region = self.cloud.known[ids[0]].region
        numbered = {f"InstanceId.{n}": id_ for n, id_ in enumerate(ids, 1)}
        self.ask(region, {"Action": "TerminateInstances", **numbered})
        self.cloud.went(list(ids), reason)

    def ask(self, region: str, parameters: dict[str, str]) -> Reply:
        """Ask moto itself, past the proxy."""
        scope = f"{ACCESS_KEY}/20260101/{region}/ec2/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=, Signature="
        }
        call = Call(parameters["Action"], "ec2", region, parameters, headers)
        return self._upstream.forward(call, {"Version": "2016-11-15", **parameters})
