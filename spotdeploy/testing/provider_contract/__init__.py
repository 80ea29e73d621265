"""Every promise of `spotdeploy.provider` as a test, for the authors of providers.

    from spotdeploy.testing import ProviderContract

    class TestContract(ProviderContract):
        @pytest.fixture
        def provider_class(self):
            return AcmeProvider

        @pytest.fixture
        def config(self, acme_lab):
            return AcmeConfig(endpoint=acme_lab.url)

What a lab can and cannot do is said in the other fixtures of `LabFixtures`; a promise that the
lab cannot show is skipped, and the reason names what the lab lacks.
"""

from __future__ import annotations

from spotdeploy.testing.provider_contract.asking import Asking
from spotdeploy.testing.provider_contract.between import Between
from spotdeploy.testing.provider_contract.creating import Creating
from spotdeploy.testing.provider_contract.destroying import Destroying
from spotdeploy.testing.provider_contract.failing import Failing
from spotdeploy.testing.provider_contract.fates import Fates
from spotdeploy.testing.provider_contract.identity import Identity
from spotdeploy.testing.provider_contract.lab import Facts, Lab, LabFixtures, Powers
from spotdeploy.testing.provider_contract.leaving import Leaving
from spotdeploy.testing.provider_contract.lifetime import Lifetime
from spotdeploy.testing.provider_contract.listing import Listing
from spotdeploy.testing.provider_contract.refusing import Refusing
from spotdeploy.testing.provider_contract.supporting import Supporting

__all__ = ["Facts", "Lab", "LabFixtures", "Powers", "ProviderContract"]


class ProviderContract(
    Supporting,
    Failing,
    Fates,
    Leaving,
    Destroying,
    Listing,
    Refusing,
    Between,
    Creating,
    Asking,
    Lifetime,
    Identity,
):
    """All promises of a provider. pytest runs those of the last class first."""
