"""What `[matrix]` may say, and what it does to the config of a cell."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from spotdeploy.config.json_schema import build_schema
from spotdeploy.errors import ConfigError, RefusedError
from spotdeploy.matrix.cells import Cell
from spotdeploy.matrix.known import remember
from spotdeploy.matrix.project import Matrix
from spotdeploy.model import MarketPolicy
from spotdeploy.phases.plan import read_plans
from spotdeploy.plugins import Plugins
from spotdeploy.project import Project


def opened(
    folder: Path, matrix: str, top: str = 'providers = ["fake"]', more: str = ""
) -> Matrix[Project]:
    """The matrix of a config of the deployment `shop`."""
    path = folder / "spotdeploy.toml"
    path.write_text(f'deployment = "shop"\n{top}\n[matrix]\n{matrix}\n{more}')
    return Matrix.of(Project.open(path))


def texts(matrix: Matrix[Project]) -> list[str]:
    return [str(cell) for cell in matrix.cells]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("", "matrix: it has no cells"),
        ('a = ["x"]\n[[matrix.exclude]]\na = "x"', "matrix: it has no cells"),
        ("a = [1, 2, 3]\nb = [1, 2]\nmax_cells = 5", "matrix: it has 6 cells, and max_cells is 5"),
        ("a = [1]\nmax_cells = 0", "matrix.max_cells: should be at least 1"),
        ("a = [1]\nmax_parallel = 0", "matrix.max_parallel: should be at least 1"),
        ('a = [1]\nmax_parallel = "2"', "matrix.max_parallel: should be a whole number"),
        ("a = []", "matrix.a: an axis has at least one value"),
        ('a = "x"', "matrix.a: an axis is a list of values"),
        ("max_cell = 3", "matrix.max_cell: an axis is a list of values"),
        ("a = [3.10]", "matrix.a[0]: should be text, a whole number, true or false, not a number"),
        ("a = [1, [2]]", "matrix.a[1]: should be text, a whole number, true or false, not a list"),
        ("a = [{b = 1}]", "matrix.a[0]: should be text, a whole number, true or false, not a tab"),
        ("a = [2026-01-01]", "matrix.a[0]: should be text, a whole number, true or false, not a d"),
        ('a = ["x", "y", "x"]', "matrix.a[2]: 'x' is named twice"),
        ('"1a" = ["x"]', "matrix.1a: an axis is named by letters, digits, _ and -"),
        ('"a b" = ["x"]', 'matrix."a b": an axis is named by letters'),
        ("a-b = [1]\na_b = [1]", "matrix.a_b: a-b makes the variable SPOTDEPLOY_MATRIX_A_B too"),
        ("a = [1]\nA = [1]", "matrix.A: a makes the variable SPOTDEPLOY_MATRIX_A too"),
        ("a-b = [1]\n[[matrix.include]]\na_b = 2", "matrix.a_b: a-b makes the variable"),
        ("a = [1]\ninclude = 3", "matrix.include: should be a list of tables"),
        ("a = [1]\n[matrix.include]\na = 3", "matrix.include: should be a list of tables"),
        ("a = [1]\ninclude = [3]", "matrix.include[0]: should be a table"),
        ("a = [1]\ninclude = [{}]", "matrix.include[0]: is empty"),
        ("a = [1]\nexclude = [{}]", "matrix.exclude[0]: is empty"),
        ("a = [1]\nexclude = [{a = [1]}]", "matrix.exclude[0].a: should be text, a whole"),
        ("a = [1]\nexclude = [{b = 1}]", "matrix.exclude[0].b: there is no such axis"),
        ("include = [{a = 1}, {a = 1}]", "matrix.include: two cells are a=1"),
        ('market = ["spots"]', "matrix.market[0]: 'spots' is not a choice"),
        ('a = [1]\n[[matrix.include]]\na = 2\nmarket = "no"', "matrix.include[0].market: 'no'"),
        ('provider = ["fake", "fak"]', "matrix.provider[1]: no plugin named 'fak' is installed"),
        ('provider = ["checks"]', "matrix.provider[0]: plugin 'checks' registers no provider"),
        (
            "\n".join(f"a{n} = {[*range(20)]}" for n in range(4)),
            "matrix: it has 160000 cells before any is excluded, and the most are 100000",
        ),
        ("size = [3]", "matrix.size[0]: should be text, not 3"),
        ('a = ["nul: \\u0000"]', "matrix.a holds U+0000, which no variable can hold"),
    ],
)
def test_what_makes_no_cells_is_refused_with_its_path(
    tmp_path: Path, matrix: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, matrix)
    assert caught.value.message.startswith(f"spotdeploy.toml: {message}")


def test_64_cells_are_let_pass_and_no_more_unless_it_is_said(tmp_path: Path) -> None:
    axis = list(range(8))
    assert len(opened(tmp_path, f"a = {axis}\nb = {axis}").cells) == 64
    with pytest.raises(ConfigError, match="65 cells, and max_cells is 64"):
        opened(tmp_path, f"a = {axis}\nb = {axis}\ninclude = [{{a = 9}}]")
    assert len(opened(tmp_path, f"a = {[*range(65)]}\nmax_cells = 65").cells) == 65


def test_a_misspelt_key_is_told_from_an_axis(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, 'a = [1]\nincludes = [{b = "c"}]')
    assert caught.value.hint == "did you mean matrix.include?"


def test_an_include_names_an_axis_in_any_capitals(tmp_path: Path) -> None:
    found = opened(tmp_path, 'Os = ["deb"]\n[[matrix.include]]\nos = "deb"\nextra = "x"')
    assert texts(found) == ["Os=deb extra=x"]


def test_every_value_is_a_variable_of_the_cell(tmp_path: Path) -> None:
    (cell,) = opened(
        tmp_path, 'node-js = [22]\nslow = [true]\nmarket = ["on-demand"]'
    ).cells.values()
    assert cell.facts == {
        "SPOTDEPLOY_MATRIX_NODE_JS": "22",
        "SPOTDEPLOY_MATRIX_SLOW": "true",
        "SPOTDEPLOY_MATRIX_MARKET": "on-demand",
    }
    assert cell.config.nodes.market is MarketPolicy.ON_DEMAND


def test_size_goes_into_the_table_of_each_provider_in_use(tmp_path: Path) -> None:
    top = 'providers = ["fake", "gcp"]'
    found = opened(tmp_path, 'size = ["e2-small"]', top, '[provider.gcp]\nsizes = ["e2-medium"]')
    (cell,) = found.cells.values()
    assert cell.config.provider["gcp"] == {"sizes": ["e2-small"]}
    assert cell.config.provider["fake"] == {"sizes": ["e2-small"]}


def test_image_is_one_of_each_provider_that_has_images(tmp_path: Path) -> None:
    top = 'providers = ["aws"]'
    found = opened(tmp_path, 'image = ["mine-*"]', top)
    assert [cell.config.provider for cell in found.cells.values()] == [{"aws": {"image": "mine-*"}}]
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, 'image = ["x"]', 'providers = ["local", "fake"]')
    assert caught.value.message == "spotdeploy.toml: matrix.image: provider.fake has no image"


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp", "local", "fake"])
def test_no_provider_takes_an_architecture_beside_its_sizes(tmp_path: Path, provider: str) -> None:
    with pytest.raises(ConfigError, match=rf"matrix.arch: provider.{provider} has no arch"):
        opened(tmp_path, 'arch = ["arm64"]', f'providers = ["{provider}"]')


def test_a_size_that_a_provider_in_use_cannot_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, 'size = ["t3.small"]', 'providers = ["gcp"]')
    assert caught.value.message.startswith("spotdeploy.toml: provider.gcp.sizes[0]: should be like")
    assert caught.value.message.endswith("by matrix.size = 't3.small'")


def test_an_image_of_a_location_would_hide_the_axis(tmp_path: Path) -> None:
    more = '[provider.azure.location.eastus]\nimage = "a:b:c:d"'
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, 'image = ["e:f:g:h"]', 'providers = ["azure"]', more)
    assert "matrix.image: provider.azure.location.eastus.image would" in caught.value.message


def test_a_provider_axis_says_which_provider_a_cell_uses(tmp_path: Path) -> None:
    found = opened(
        tmp_path,
        'provider = ["fake", "gcp"]\nsize = ["small", "e2-small"]\n'
        'exclude = [{provider = "fake", size = "e2-small"}, {provider = "gcp", size = "small"}]',
    )
    assert [cell.providers for cell in found.cells.values()] == [("fake",), ("gcp",)]
    assert found.providers == ("fake", "gcp")
    project = Project.open(tmp_path / "spotdeploy.toml", providers=["fake"])
    with pytest.raises(ConfigError, match=r"--provider: spotdeploy.toml: matrix.provider"):
        Matrix.of(project)


GROUPS = """
[groups.head]
sizes = ["large"]
[groups.worker]
count = 2
"""


def test_what_a_group_says_itself_stands_above_a_value(tmp_path: Path) -> None:
    found = opened(tmp_path, 'size = ["small"]\nmarket = ["on-demand"]', more=GROUPS)
    (cell,) = found.cells.values()
    tables = {name: group.config.provider["fake"] for name, group in cell.groups.items()}
    assert tables == {"head": {"sizes": ["large"]}, "worker": {"sizes": ["small"]}}
    groups = cell.groups.values()
    assert {group.deployment for group in groups} == {cell.deployment} == {"shop-on-demand-small"}
    assert {group.config.nodes.market for group in groups} == {MarketPolicy.ON_DEMAND}
    assert all(group.facts == cell.facts and group.config.matrix is None for group in groups)


def test_an_axis_that_no_group_takes_is_refused(tmp_path: Path) -> None:
    own = GROUPS.replace("count = 2", 'sizes = ["small"]')
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, 'size = ["small", "large"]', more=own)
    assert caught.value.message == (
        "spotdeploy.toml: matrix.size: every group has its own, as groups.head.sizes"
    )


def test_former_cells_of_groups_have_their_own_name_in_every_group(tmp_path: Path) -> None:
    found = opened(tmp_path, "py = [1]", more=GROUPS)
    remember(found.project, Cell("shop-2", {"py": 2}), ("fake",))
    (former,) = opened(tmp_path, "py = [1]", more=GROUPS).former.values()
    assert {group.deployment for group in former.groups.values()} == {"shop-2"}


@pytest.mark.parametrize("table", ["environment", "secrets"])
def test_a_variable_of_the_payload_that_a_cell_has_too_is_refused(
    tmp_path: Path, table: str
) -> None:
    more = f'[payload.{table}]\nSPOTDEPLOY_MATRIX_PYTHON = "env:HOME"'
    (cell,) = opened(tmp_path, 'python = ["3.12"]', more=more).cells.values()
    with pytest.raises(ConfigError) as caught:
        read_plans(cell)
    path = f"spotdeploy.toml: payload.{table}.SPOTDEPLOY_MATRIX_PYTHON: "
    assert caught.value.message.startswith(path)


def test_only_selects_cells_and_values_of_one_axis_are_alternatives(tmp_path: Path) -> None:
    found = opened(tmp_path, 'os = ["deb", "rpm", "apk"]\npy = [3, 4]')
    assert texts(found.only(["os=deb", "py=3"])) == ["os=deb py=3"]
    assert len(found.only(["os=deb", "os=rpm"]).cells) == 4
    assert found.only([]) is found


@pytest.mark.parametrize(
    ("only", "message", "hint"),
    [
        (["po=3"], "--only po=3: no axis 'po'", "os=deb or rpm; py=3"),
        (["os=DEB"], "--only os=DEB: os is never 'DEB'", "os=deb or rpm"),
        (["os"], "--only os: write AXIS=VALUE", "os=deb or rpm; py=3"),
        (["os=rpm", "py=3"], "--only os=rpm --only py=3: no cell has all of these", "there are: "),
    ],
)
def test_what_selects_no_cell_is_refused_with_what_there_is(
    tmp_path: Path, only: list[str], message: str, hint: str
) -> None:
    found = opened(
        tmp_path,
        'os = ["deb", "rpm"]\npy = [3]\nexclude = [{os = "rpm"}]\ninclude = [{os = "rpm", x = 1}]',
    )
    with pytest.raises(RefusedError) as caught:
        found.only(only)
    assert caught.value.message == message
    assert (caught.value.hint or "").startswith(hint)


def test_the_schema_takes_axes_and_nothing_that_is_none() -> None:
    schema = build_schema(Plugins())
    good = 'deployment = "x"\n[matrix]\npy = ["3.12", 3, true]\nmax_parallel = 2\n'
    good += 'include = [{py = "4", more = 1}]\n'
    jsonschema.validate(tomllib.loads(good), schema)
    for bad in ("py = 3", "py = [[3]]", "max_cells = 0", "include = [{py = []}]"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tomllib.loads(f'deployment = "x"\n[matrix]\n{bad}\n'), schema)
    assert "matrix" in json.dumps(schema)
