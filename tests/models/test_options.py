import pytest

from birdcore.errors import ConfigError
from birdcore.models.options import read_options


def test_what_is_not_said_has_its_default(config_of):
    config = config_of("puffin", options={"dropout": 0, "auxiliary_codes": ["x"]})
    assert read_options(config, dropout=0.3, pooling="last") == {"dropout": 0, "pooling": "last"}


def test_an_unknown_option_is_named_with_the_known_ones(config_of):
    with pytest.raises(ConfigError, match="puffin: unknown option 'depth'; known are dropout, pooling"):
        read_options(config_of("puffin", options={"depth": 3}), dropout=0.3, pooling="last")


def test_an_architecture_without_options_says_so(config_of):
    with pytest.raises(ConfigError, match="crnn_s0: unknown option 'depth'; it has none"):
        read_options(config_of("crnn_s0", options={"depth": 3}))


@pytest.mark.parametrize(
    ("value", "default"), [("much", 0.3), (True, 0.3), (3, "last"), (1, False), (2.5, 2), (True, 2), (4, [3, 2])]
)
def test_a_value_of_another_type_is_refused(value, default, config_of):
    with pytest.raises(ConfigError, match=r"option depth = .*: must be like"):
        read_options(config_of("puffin", options={"depth": value}), depth=default)
