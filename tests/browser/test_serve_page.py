"""The page of ``agf serve`` in a browser: choose, drop, play, seek, wrong files, every screen.

Screenshots go to the folder named by AGF_SCREENSHOTS, else to pytest's.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from page_model import RATE, music, write_page_model

CHROMIUM = shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="fastapi is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

SECONDS = {"night drive.wav": 24, "Åse's song.flac": 12, "third.mp3": 15}
TIMEOUT = 120_000

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True}


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """Files of music by name, and one of none."""
    folder = tmp_path_factory.mktemp("music")
    for name, seconds in SECONDS.items():
        soundfile.write(folder / name, music(seconds, seconds), RATE)
    (folder / "notes.mp3").write_text("Dear diary, " * 500)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page of a server that runs as a user would start it."""
    folder = write_page_model(tmp_path_factory.mktemp("page") / "model")
    uploads = tmp_path_factory.mktemp("uploads")
    program = "import sys; from agf.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "serve", "--model", str(folder), "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(uploads)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        yield server.stdout.readline().partition("  ")[0]
        server.terminate()
    assert list(uploads.iterdir()) == []


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, timeout=TIMEOUT)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """A function that opens the page in a new window and notes what goes wrong in it."""
    contexts = []

    def open_page(**settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        page.troubles, page.requests = [], []
        page.on("console", lambda message: page.troubles.append(message.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def screenshots(tmp_path):
    folder = Path(os.environ.get("AGF_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def choose(page, *paths):
    page.locator("#input").set_input_files(paths)
    # Waiting for a function would need eval, which the page forbids.
    playwright.expect(page.locator(".busy")).to_have_count(0, timeout=TIMEOUT)


def position(page):
    return page.evaluate("document.getElementById('audio').currentTime")


@pytest.mark.parametrize(
    ("device", "settings"),
    [
        ("light", {"viewport": {"width": 1360, "height": 900}}),
        ("dark", {"viewport": {"width": 1360, "height": 900}, "color_scheme": "dark"}),
        ("phone", PHONE),
    ],
)
def test_several_files_at_once_a_wrong_one_among_them(
    visit, tracks, screenshots, address, device, settings
):
    page = visit(**settings)
    page.locator("#limit", has_text="up to 200\u00a0MB each").wait_for()
    page.screenshot(path=screenshots / f"serve-empty-{device}.png", full_page=True)
    choose(page, *tracks.values())
    rows = page.locator("#list li")
    assert rows.count() == 4
    wrong = rows.filter(has_text="notes.mp3")
    assert "no audio file that can be read here" in wrong.inner_text()
    assert wrong.locator("button").count() == 0
    assert page.locator("#genres tr").count() == 6
    assert page.locator("#groups li").count() == 3
    # A name of an artist is text, whatever is in it.
    assert "The <b>Ninth</b> Wave" in page.locator("#groups").inner_text()
    page.locator("#list button", has_text="night drive.wav").click()
    assert page.locator("#title").inner_text() == "night drive.wav"
    page.evaluate("document.getElementById('audio').currentTime = 9")
    page.locator("#now", has_text="0:09 of 0:24").wait_for()
    page.screenshot(path=screenshots / f"serve-{device}.png", full_page=True)
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(width) == 0
    # The browser itself notes an answer that is no success; all else is quiet.
    assert [text for text in page.troubles if "422" not in text] == []
    assert all(
        url.startswith((f"{address}/", f"blob:{address}/", "data:")) for url in page.requests
    )


def test_playing_moves_the_playhead_and_clicks_and_keys_seek(visit, tracks):
    page = visit(viewport={"width": 1000, "height": 900})
    choose(page, tracks["night drive.wav"])
    curve = page.get_by_role("slider", name="Position in the track")
    curve.focus()
    page.keyboard.press("Space")
    playwright.expect(curve).not_to_have_attribute("aria-valuenow", "0.0", timeout=TIMEOUT)
    page.keyboard.press("Space")
    assert page.evaluate("document.getElementById('audio').paused")
    before = page.locator("#genres .now").all_inner_texts()
    box = curve.bounding_box()
    # Three quarters of the axis, which begins after 44 pixels and ends before the last 12.
    page.mouse.click(box["x"] + 44 + 0.75 * (box["width"] - 56), box["y"] + 100)
    duration = float(curve.get_attribute("aria-valuemax"))
    assert position(page) == pytest.approx(0.75 * duration, abs=0.1)
    assert page.locator("#genres .now").all_inner_texts() != before
    at = position(page)
    page.keyboard.press("ArrowLeft")
    assert position(page) == pytest.approx(at - 5, abs=0.1)
    assert float(curve.get_attribute("aria-valuenow")) == pytest.approx(at - 5, abs=0.1)
    page.keyboard.press("Home")
    assert position(page) == 0
    assert curve.get_attribute("aria-valuetext").startswith("0:00 of 0:24, ")


def test_results_and_errors_are_told_to_a_screen_reader(visit, tracks):
    page = visit()
    news = page.get_by_role("status")
    choose(page, tracks["third.mp3"])
    assert news.inner_text().startswith("third.mp3: ") and news.inner_text().endswith(" %.")
    choose(page, tracks["notes.mp3"])
    assert news.inner_text().startswith("notes.mp3: This is no audio file")


def test_a_file_beyond_the_limit_is_not_sent(visit):
    page = visit()
    page.route(
        "**/model", lambda route: route.fulfill(json=route.fetch().json() | {"limit_bytes": 10})
    )
    page.reload()
    page.locator("#limit", has_text="each").wait_for()
    page.requests.clear()
    choose(page, {"name": "long.wav", "mimeType": "audio/wav", "buffer": bytes(11)})
    assert "The file is larger than 0.00001 MB" in page.locator("#list").inner_text()
    assert page.requests == []


def test_files_are_chosen_and_shown_by_keyboard(visit, tracks):
    page = visit()
    choose(page, tracks["third.mp3"], tracks["Åse's song.flac"])
    page.locator("#input").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#title").inner_text() == "Åse's song.flac"
    assert page.evaluate("document.activeElement.textContent").startswith("Åse's song.flac")


def test_two_users_see_their_own_files(visit, tracks):
    one, other = visit(), visit()
    one.locator("#input").set_input_files(tracks["third.mp3"])
    other.locator("#input").set_input_files(tracks["Åse's song.flac"])
    for page, name in ((one, "third.mp3"), (other, "Åse's song.flac")):
        page.locator("#list button:enabled").wait_for()
        assert page.locator("#list b").all_inner_texts() == [name]
