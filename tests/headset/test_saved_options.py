"""The operator's saved settings for `listen`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vad_agent.errors import SettingsError
from vad_agent.headset.saved_options import (
    SavedOptions,
    forget_options,
    load_options,
    options_path,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="XDG_CONFIG_HOME")
ALL = SavedOptions("a", "b", "virtmic", "a", "/own.toml", "anna", "mic")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.mark.parametrize("options", [ALL, SavedOptions(), SavedOptions(client_device='a "b" «c»')])
def test_what_is_saved_is_loaded(options: SavedOptions) -> None:
    assert load_options() == SavedOptions()
    path = options.save()
    assert path == options_path()
    assert load_options() == options
    assert forget_options() == path
    assert forget_options() is None
    assert load_options() == SavedOptions()


def test_what_is_given_goes_over_what_is_saved() -> None:
    given = SavedOptions(prompt_device="other")
    assert given.over(ALL) == SavedOptions("a", "b", "other", "a", "/own.toml", "anna", "mic")
    assert set(given.devices()) == {"prompt"}


def test_all_errors_of_the_file_are_told_with_the_remedy() -> None:
    options_path().parent.mkdir(parents=True)
    options_path().write_text('client = "a"\nprompt_device = 5\noperator = " "\n')
    with pytest.raises(SettingsError) as caught:
        load_options()
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["client", "prompt_device", "operator"]
    assert all("vad-agent setup" in line for line in lines)
