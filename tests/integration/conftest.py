# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests. What a failed test leaves behind is kept and named."""
import pathlib
import re
import sys
import zlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness.account import Account  # noqa: E402
from harness.dovecot import Dovecot  # noqa: E402
from harness.holdfast import Holdfast, installation  # noqa: E402
from harness.place import Place  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: not in `make test`, only in `make test-full`")
    config.addinivalue_line("markers", "failure(number): which failure of ingestion the test is about")


def pytest_collection_modifyitems(items):
    """`-m failure`, `-m "failure and not slow"`: tests that name the failure they show to be absent."""
    for item in items:
        number = re.match(r"test_(\d\d)_", item.name)
        if number:
            item.add_marker(pytest.mark.failure(int(number[1])))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.session.stash.setdefault(FAILED, set()).add(item.nodeid.split("[")[0].split("::")[0])


FAILED = pytest.StashKey()


def keep_or_remove(request, place):
    failed = request.session.stash.get(FAILED, set())
    if request.node.nodeid.split("[")[0].split("::")[0] in failed:
        print(f"\nkept for you: {place.path}")
    else:
        place.remove()


@pytest.fixture
def place(request):
    made = Place(request.node.name)
    yield made.path
    keep_or_remove(request, made)


@pytest.fixture(scope="module")
def module_place(request):
    made = Place(pathlib.Path(request.node.name).stem)
    yield made.path
    keep_or_remove(request, made)


@pytest.fixture
def new_dovecot(place):
    """Starts Dovecots on request; all end with the test."""
    made = []

    def start(**settings):
        made.append(Dovecot(place / f"source{len(made)}" if made else place, **settings).start())
        return made[-1]

    yield start
    for dovecot in made:
        dovecot.stop()


@pytest.fixture
def new_holdfast(place):
    """Makes installations on request, not yet started; all end with the test."""
    made = []

    def make(**settings):
        folder = place / f"holdfast{len(made)}"
        folder.mkdir()
        folder.chmod(0o755)
        made.append(Holdfast(folder, **settings))
        return made[-1]

    yield make
    for holdfast in made:
        holdfast.stop()


@pytest.fixture(scope="module")
def holdfast(module_place):
    with installation(module_place) as made:
        yield made


@pytest.fixture
def account(holdfast, request):
    """An account of that installation, named after the test; add(source) makes it."""
    name = re.sub(r"\W", "-", request.node.name)
    made = Account(holdfast, f"{name[:50]}-{zlib.crc32(name.encode()):x}")
    yield made
    made.close()
