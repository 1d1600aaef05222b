"""Shared by the tests that open pages: a browser for each file, and a skip where there is none."""

from collections.abc import Iterator

import pytest

from tests.report.browser import CHROMIUM, DRIVER, Browser, browser


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip before any page is written for it."""
    if item.get_closest_marker("browser") and not (CHROMIUM and DRIVER):
        pytest.skip("no chromium and chromedriver (apt-get install chromium chromium-driver)")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Open a browser, one for all tests of a file."""
    with browser() as session:
        yield session
