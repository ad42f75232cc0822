"""The report in a browser: nothing fails, nothing leaves, and it can be read everywhere.

Screenshots go to the folder named by AGF_SCREENSHOTS, else to pytest's.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
from report_folder import write_run

from agf.evaluation.report.inputs import find_files
from agf.evaluation.report.write import write_report

CHROMIUM = shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

RUNS = {
    "one": {},
    "study": {"splits": ("random", "random-2", "random-3")},
    "subset": {"combinations": ["g", "s", "gs"], "extras": False, "fit_rows": "all"},
}

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True}

CONTRAST = """
() => {
  const parse = (text) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      layers.push(parse(getComputedStyle(e).backgroundColor));
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const light = (c) => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = c.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility()) continue;
    if (element.closest(".off, script, [hidden], svg title, svg desc")) continue;
    const style = getComputedStyle(element);
    const inSvg = element.closest("svg");
    const below = ground(inSvg ? inSvg.parentElement : element);
    const ink = over(parse(inSvg ? style.fill : style.color), below);
    const [a, b] = [light(ink), light(below)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    seen += 1;
    const name = `${element.tagName}.${element.getAttribute("class")}`;
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${name}: ${text.slice(0, 30)}`);
  }
  return { seen, poor: [...new Set(poor)] };
}
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Addresses of the reports of all runs, by name."""
    folder = tmp_path_factory.mktemp("reports")
    addresses = {}
    for name, settings in RUNS.items():
        write_run(folder / name, **settings)
        write_report(find_files(folder / name), folder / name / "report.html")
        addresses[name] = (folder / name / "report.html").as_uri()
    return addresses


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, pages):
    """A function that opens a page in a new window and notes what goes wrong in it."""
    contexts = []

    def open_page(name="one", **settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.troubles, page.requests = [], []
        page.on("console", lambda message: page.troubles.append(message.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("dialog", lambda dialog: page.troubles.append(dialog.message) or dialog.dismiss())
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(pages[name])
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def screenshots(tmp_path):
    folder = Path(os.environ.get("AGF_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def overflow(page):
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def column(table, number):
    return table.locator(f"tbody tr > :nth-child({number})").all_inner_texts()


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(
    ("device", "settings"),
    [
        ("light", {"viewport": {"width": 1360, "height": 900}}),
        ("dark", {"viewport": {"width": 1360, "height": 900}, "color_scheme": "dark"}),
        ("phone", PHONE),
    ],
)
def test_page_opens_without_error_request_or_sideways_scroll(
    visit, screenshots, name, device, settings
):
    page = visit(name, **settings)
    page.screenshot(path=screenshots / f"report-{name}-{device}.png", full_page=True)
    assert page.troubles == []
    assert page.requests == [page.url]
    assert overflow(page) == 0
    folded = page.locator("main details:not([open]) > summary")
    n_folded = folded.count()
    assert n_folded >= 2
    for _ in range(n_folded):
        folded.first.click()
    assert folded.count() == 0
    assert overflow(page) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_a_contrast_of_four_and_a_half(visit, scheme):
    page = visit(color_scheme=scheme)
    found = page.evaluate(CONTRAST)
    assert found["seen"] > 500
    assert found["poor"] == []


def test_a_click_on_a_heading_sorts_and_another_one_turns_the_order(visit):
    page = visit()
    table = page.locator("table", has_text="Table 4.")
    before = column(table, 4)
    heading = table.locator("thead th").nth(3)
    heading.get_by_role("button").click()
    after = [float(value.removeprefix("● ")) for value in column(table, 4)]
    assert after == sorted(after) and len(after) == 62
    assert column(table, 4) != before
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").click()
    assert [float(value.removeprefix("● ")) for value in column(table, 4)] == after[::-1]
    assert heading.get_attribute("aria-sort") == "descending"
    assert table.locator("thead th").nth(4).get_attribute("aria-sort") == "none"


def test_headings_sort_by_keyboard(visit):
    page = visit()
    table = page.locator("table", has_text="Table 4.")
    table.get_by_role("button", name="macro F1").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    values = [float(value) for value in column(table, 5)]
    assert values == sorted(values, reverse=True) and values[0] > values[-1]


def test_the_theme_button_overrides_the_system_and_is_remembered(visit):
    page = visit(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    button = page.get_by_role("button", name="Theme: auto")
    button.click()
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.get_by_role("button", name="Theme: light").is_visible()
    assert page.evaluate(background) == light
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(background) == dark


def test_marks_of_figure_3_are_reached_by_one_tab_stop_and_arrows(visit):
    page = visit()
    panel = page.locator("#figure3 svg[role=group]").first
    stops = panel.locator("[tabindex='0']")
    assert stops.count() == 1
    stops.focus()
    first = page.locator(".tip").inner_text()
    assert re.fullmatch(r"stn-[gsedm]: \d\.\d{4}", first)
    page.keyboard.press("ArrowRight")
    assert page.locator(".tip").inner_text() != first
    assert stops.count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".tip").is_hidden()


def test_pointing_at_a_mark_names_its_case_and_marks_it_in_both_panels(visit):
    page = visit()
    page.locator("#figure3 [data-case=mtn-gsedm]").first.hover()
    assert page.locator(".tip").inner_text().startswith("mtn-gsedm: ")
    assert page.locator("#figure3 .pointed").count() == 2


def test_the_first_tab_leads_past_the_contents(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    assert page.url.endswith("#answer")


def test_contents_stay_in_view_on_a_wide_screen(visit):
    page = visit(viewport={"width": 1360, "height": 900})
    page.locator("#run").scroll_into_view_if_needed()
    box = page.locator("nav.contents").bounding_box()
    assert 0 <= box["y"] < 200


def test_page_is_whole_without_scripts(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("table", has_text="Table 4.").locator("tbody tr").count() == 62
    assert page.locator("#figure3 svg .point > title").count() > 100
    assert page.locator("button").count() == 0
    assert page.troubles == []


def test_print_fits_the_paper_and_opens_what_is_folded(visit, screenshots):
    page = visit("study", viewport={"width": 690, "height": 1000})
    page.emulate_media(media="print")
    assert overflow(page) == 0
    pdf = page.pdf(path=screenshots / "report-study.pdf", format="A4", prefer_css_page_size=True)
    assert pdf.count(b"/Type /Page") > 5
    folded = page.locator("main details pre")
    assert folded.bounding_box()["height"] > 0
