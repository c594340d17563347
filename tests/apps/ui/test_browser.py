"""The page in a real browser (headless Chromium): read, paint, keep, find again; on a phone too."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from emosym.apps.ui.home import Home
from emosym.apps.ui.serving import door, serve

pytest.importorskip("gradio", reason="the extra ui is not installed")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("chromium and chromedriver are not installed", allow_module_level=True)

pytestmark = pytest.mark.slow  # a browser and a server start
PATIENCE = 240  # seconds: a loaded machine is slow, and nothing here waits longer than it must
PHONE, DESK = (390, 844), (1440, 1000)
PARTS = {
    "Read": "#read-go",
    "Paint": "#paint-go",
    "Memory": "#memory-tiles",
    "Runs": "#runs-report-go",
}


@pytest.fixture(scope="module")
def address(home: Home) -> Iterator[str]:
    at = door("127.0.0.1", 0, None, False)
    page = serve(home, at, open_browser=False, wait=False)
    yield f"http://127.0.0.1:{at.port}"
    page.close()


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(
    address: str, downloads: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("headless=new", "no-sandbox", "disable-gpu", "no-first-run"):
        options.add_argument(f"--{word}")
    options.add_argument("--disable-background-networking")
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(PATIENCE)
    saves = {"behavior": "allow", "downloadPath": str(downloads)}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", saves)
    resized(driver, DESK)
    driver.get(address)
    yield driver
    driver.quit()


def resized(driver: Any, size: tuple[int, int]) -> None:
    phone = size[0] < 600
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": phone}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def seen(driver: Any, css: str, words: str = "") -> Any:
    """Return the first element that matches and has these words, when it is there."""
    ask = (
        "return [...document.querySelectorAll(arguments[0])].find(found => "
        "found.getClientRects().length && found.textContent.includes(arguments[1])) || null"
    )
    return WebDriverWait(driver, PATIENCE).until(
        lambda d: d.execute_script(ask, css, words), f"no {css} with {words!r}"
    )


def pressed(driver: Any, css: str, words: str = "") -> None:
    driver.execute_script("arguments[0].click()", seen(driver, css, words))


def saved(downloads: Path, name: str) -> Path:
    """Wait for a download of this name (a pattern) and return it."""
    until = time.monotonic() + PATIENCE
    while not (found := list(downloads.glob(name))):
        assert time.monotonic() < until, f"{name} was not downloaded"
        time.sleep(0.1)
    return found[0]


def test_an_uploaded_picture_is_read_and_nothing_comes_from_elsewhere(
    browser: Any, address: str, home: Home, downloads: Path, tiny_pictures: Any, tmp_path: Path
) -> None:
    picture = tmp_path / "first.png"
    Image.fromarray(tiny_pictures.pictures[0]).save(picture)
    seen(browser, "#read-go")
    upload = browser.find_element("css selector", "#read-files input[type=file]")
    upload.send_keys(str(picture))
    seen(browser, "#read-files", "first")
    pressed(browser, "#read-go")
    seen(browser, "#read-status", "1 read")
    card = seen(browser, "#read-one .reading", "first.png").text
    reading = home.session.understand(picture)
    assert max(reading.probabilities, key=reading.probabilities.get) in card
    asked = [
        event["params"]["request"]["url"]
        for line in browser.get_log("performance")
        for event in [json.loads(line["message"])["message"]]
        if event["method"] == "Network.requestWillBeSent"
    ]
    own = (address, "data:", "blob:", "chrome:", "chrome-untrusted:")  # or the empty page
    elsewhere = [url for url in asked if not url.startswith(own)]
    assert len(asked) > 10 and elsewhere == []
    for kind in ("csv", "json"):
        pressed(browser, f"#read-{kind}:not([disabled])")
    (row,) = json.loads(saved(downloads, "readings.json").read_text())
    (line,) = csv.DictReader(saved(downloads, "readings.csv").open(newline=""))
    assert row["source"] == line["source"] == "first.png" and row["emotion"] in card
    assert row["confidence"] == pytest.approx(reading.confidence, abs=1e-5)


CHOOSE = """const one = document.querySelectorAll('#paint-words select')[arguments[0]];
one.value = arguments[1];
one.dispatchEvent(new Event('change', {bubbles: true}));"""
PROMPT = "return document.querySelector('#paint-prompt textarea').value"


def test_sliders_paint_and_what_is_kept_is_seen_in_memory(
    browser: Any, home: Home, downloads: Path
) -> None:
    pressed(browser, "button[role=tab]", "Paint")
    for name, key in (("mix-1", Keys.HOME), ("mix-6", Keys.END), ("paint-count", Keys.HOME)):
        seen(browser, f"#{name} input[type=range]").send_keys(key)
    for place, words in enumerate(("a city street", "in a starry night")):
        browser.execute_script(CHOOSE, place, words)
    WebDriverWait(browser, PATIENCE).until(
        lambda d: d.execute_script(PROMPT) == "{} a city street in a starry night"
    )
    seen(browser, "#paint-steps input[type=range]").send_keys(Keys.HOME)
    pressed(browser, "#paint-go")
    seen(browser, "#paint-status", "1 painted: fear, prompt: {} a city street in a starry night")
    pressed(browser, "#paint-download:not([disabled])")
    with zipfile.ZipFile(saved(downloads, "*.zip")) as archive:
        assert sorted(name.rsplit(".")[-1] for name in archive.namelist()) == ["jsonl", "png"]
    pressed(browser, ".painting .keep")
    seen(browser, ".painting .kept")
    pressed(browser, "button[role=tab]", "Memory")
    pressed(browser, "#memory-tiles .tile", "fear")
    whole = seen(browser, "#memory-one .reading", "run page, round 0, seed 0, 1 steps")
    assert "fear 100 %" in whole.text


def test_keys_move_the_place_on_the_plane_and_none_is_lost(browser: Any) -> None:
    pressed(browser, "button[role=tab]", "Paint")
    pressed(browser, "#paint-how label", "A place on the plane")
    browser.execute_script("arguments[0].focus()", seen(browser, "#paint-plane svg"))
    keys = webdriver.ActionChains(browser)
    keys.send_keys(Keys.ARROW_RIGHT * 5).key_down(Keys.SHIFT).send_keys(Keys.ARROW_UP)
    keys.key_up(Keys.SHIFT).perform()
    seen(browser, "#paint-plane svg[aria-label*='pleasantness 6.0, excitement 6.0']")
    number = "return document.querySelector(arguments[0] + ' input[type=number]').value"
    assert [browser.execute_script(number, f"#paint-{axis}") for axis in AXES] == ["6", "6"]
    still = "return document.activeElement.hasAttribute('data-plane')"
    assert browser.execute_script(still)  # the drawing is another one, and has the focus
    seen(browser, "#paint-valence input[type=range]").send_keys(Keys.HOME)
    seen(browser, "#paint-plane svg[aria-label*='pleasantness 1.0, excitement 6.0']")
    pressed(browser, "#paint-how label", "A mix of emotions")


def test_a_run_is_watched_as_it_goes_on_and_its_report_is_opened(browser: Any, home: Home) -> None:
    log = home.runs / "small" / "align" / "metrics.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text('{"step": 10, "loss": 3.5}\n')
    pressed(browser, "button[role=tab]", "Runs")
    seen(browser, "#runs-status", "align: step 10; loss 3.5")
    pressed(browser, "#runs-report-go")
    seen(browser, "#runs-report-status [role=alert]", "holds nothing to report")
    with log.open("a") as stream:
        stream.write('{"step": 20, "loss": 3.25}\n')
    seen(browser, "#runs-status", "align: step 20; loss 3.25")
    seen(browser, "#runs-curves svg[aria-label*='align: from 3.5 to 3.25']")
    assert seen(browser, "#runs-report-status [role=alert]")  # looking again leaves it there
    stages = [{"stage": "align", "seconds": 3.0}]
    (home.runs / "small" / "stages.json").write_text(json.dumps(stages))
    pressed(browser, "#runs-report-go")
    frame = seen(browser, "iframe.report[title='Report of small']")
    assert "Stages" in frame.get_attribute("srcdoc")
    seen(browser, "#runs-report-status", "The report of small is below")


AXES = ("valence", "arousal")
AXE = importlib.util.find_spec("axe_core_python")  # the script is all that is taken of it
ASK_AXE = """const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  found => done(found.violations.map(one => [one.impact, one.id, one.nodes.map(n => n.html)])),
  error => done([["critical", String(error), []]]));"""


def flaws(driver: Any) -> list[Any]:
    """What axe-core finds on the page as it is: (how grave, what, where)."""
    if not driver.execute_script("return typeof axe === 'object'"):
        assert AXE is not None and AXE.submodule_search_locations is not None
        script = Path(next(iter(AXE.submodule_search_locations)), "axe.min.js")
        driver.execute_script(script.read_text(encoding="utf-8"))
    driver.set_script_timeout(PATIENCE)
    found: list[Any] = driver.execute_async_script(ASK_AXE)
    return found


def grave(driver: Any) -> list[Any]:
    """What axe-core finds that is more than a trifle."""
    return [one for one in flaws(driver) if one[0] != "minor"]


@pytest.mark.skipif(AXE is None, reason="axe-core-python, which has axe-core, is not installed")
def test_every_tab_fits_and_axe_finds_nothing_grave(browser: Any) -> None:
    """The tabs hold what the tests before have left in them: a reading, a painting, an entry."""
    found = {}
    dark = "document.body.classList.toggle('dark', arguments[0])"
    wide = "return [document.documentElement.scrollWidth, window.innerWidth]"
    for size, theme in ((DESK, "light"), (PHONE, "dark"), (PHONE, "light")):
        resized(browser, size)
        browser.execute_script(dark, theme == "dark")
        for tab, part in PARTS.items():
            pressed(browser, "button[role=tab]", tab)
            seen(browser, part)
            width, room = browser.execute_script(wide)
            assert width <= room, f"{tab} is {width} pixels wide on a screen of {room}"
            found[tab, size, theme] = grave(browser)
    browser.execute_script(dark, False)
    assert not any(found.values()), found


@pytest.mark.skipif(AXE is None, reason="axe-core-python, which has axe-core, is not installed")
def test_a_password_lets_in_and_a_wrong_one_does_not(browser: Any, home: Home) -> None:
    at = replace(door("127.0.0.1", 0, None, False), passwords={"ann": "open sesame"})
    page = serve(home, at, open_browser=False, wait=False)
    try:
        resized(browser, DESK)
        browser.get(f"http://127.0.0.1:{at.port}")
        word = seen(browser, "input[type=password]")
        assert browser.title == "EmoSym" and flaws(browser) == []
        assert seen(browser, "main h1").text == "EmoSym"
        seen(browser, "#name").send_keys("ann")
        word.send_keys("open", Keys.ENTER)
        seen(browser, "#said[role=alert]", "do not belong together")
        seen(browser, "input[type=password]").send_keys("open sesame", Keys.ENTER)
        seen(browser, "#read-go")
        assert browser.title == "EmoSym"
    finally:
        page.close()
