"""The page at /docs, used in Chromium against the real server as a person would."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e import browser as browsers
from tests.e2e.browser import Browser, Page
from tests.e2e.scoring_process import Served, serving
from tests.environments import mlflow_python
from tests.models import saved_model

pytestmark = pytest.mark.skipif(browsers.found() is None and "CI" not in os.environ, reason="needs Chromium: apt-get install chromium")

CONTRAST = """
(() => {
  const parse = color => { const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number); return {rgb: [r, g, b], a}; };
  const light = rgb => {
    const [r, g, b] = rgb.map(each => { const part = each / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.a > 0) return found.rgb;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || ["SCRIPT", "OPTION"].includes(element.tagName)) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color).rgb), light(ground(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) poor.push(element.outerHTML.slice(0, 80) + " " + ratio.toFixed(2));
  }
  return poor;
})()
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def doubler() -> Iterator[Served]:
    with serving(saved_model("doubler")) as served:
        yield served


def value(page: Page, element: str) -> str:
    return str(page.run(f"document.getElementById('{element}').value"))


def text(page: Page, element: str) -> str:
    return str(page.run(f"document.getElementById('{element}').innerText"))


def fill(page: Page, body: str) -> None:
    """Replace the request by typing."""
    page.run("document.getElementById('body').focus(); document.getElementById('body').select()")
    page.type(body)


def predict(page: Page) -> dict[str, Any]:
    """Press Ctrl+Enter, and read the answer that this brings."""
    page.run("document.getElementById('status').textContent = ''")
    page.run("document.getElementById('body').focus()")
    page.press("Enter", modifiers=2)
    page.wait("document.getElementById('status').textContent && !document.getElementById('send').disabled")
    answered: dict[str, Any] = json.loads(text(page, "answer"))
    return answered


def test_the_saved_example_is_there_and_is_answered(chromium: Browser, doubler: Served) -> None:
    with chromium.open(f"{doubler.url}/docs") as page:
        assert json.loads(value(page, "body")) == {"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.5]]}}
        assert text(page, "origin") == "the example saved with the model"
        page.run("document.getElementById('send').click()")
        page.wait("document.getElementById('status').innerText === '200'")
        assert json.loads(text(page, "answer")) == {"predictions": [2.0, 5.0]}
        assert " ms" in text(page, "latency")
        request_id = text(page, "details").rsplit(" ", 1)[1]
        assert doubler.said(f"id={request_id}")
        assert page.complaints == []
        assert {urlsplit(url).netloc for url in page.requested} == {urlsplit(doubler.url).netloc}


def test_a_request_that_is_typed_is_sent_by_ctrl_enter_in_any_format(chromium: Browser, doubler: Served) -> None:
    with chromium.open(f"{doubler.url}/docs") as page:
        for name in ("dataframe_records", "inputs", "instances", "text/csv", "dataframe_split"):
            page.run(f"document.getElementById('format').value = '{name}'; document.getElementById('format').dispatchEvent(new Event('change'))")
            assert predict(page) == {"predictions": [2.0, 5.0]}, name
        fill(page, '{"inputs": {"x": [4]}}')
        assert predict(page) == {"predictions": [8.0]}
        assert "median of 6" in text(page, "latency")
        page.run("document.getElementById('reset').click()")
        assert "2.5" in value(page, "body")


def test_an_error_is_shown_with_its_message_and_the_next_request_clears_it(chromium: Browser, doubler: Served) -> None:
    with chromium.open(f"{doubler.url}/docs") as page:
        fill(page, '{"inputs": {"y": [1]}}')
        assert predict(page)["error_code"] == "INVALID_PARAMETER_VALUE"
        assert text(page, "status") == "400"
        assert "'x'" in text(page, "problem")
        assert page.run("document.getElementById('problem').getAttribute('role')") == "alert"
        fill(page, '{"inputs": {"x": [1]}}')
        predict(page)
        assert page.run("document.getElementById('problem').hidden")


def test_the_curl_line_answers_the_same_in_a_shell(chromium: Browser, doubler: Served) -> None:
    with chromium.open(f"{doubler.url}/docs") as page:
        fill(page, '{"inputs": {"x": [7.0]}, "note": "it\'s $HOME"}')
        command = text(page, "curl")
    assert "7.0" in command
    done = subprocess.run(["sh", "-c", command.replace("curl ", "curl --noproxy '*' -s ", 1)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"predictions": [14.0]}


def test_the_signature_is_a_table_and_a_parameter_goes_into_the_request(chromium: Browser) -> None:
    with serving(saved_model("optional"), python=mlflow_python()) as served, chromium.open(f"{served.url}/docs", width=800) as page:
        rows = page.run("[...document.querySelectorAll('#signature tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))")
        assert ["amount", "double", "required"] in rows
        assert ["note", "string", "optional"] in rows
        assert ["labels", "string[]", ""] in rows
        assert text(page, "origin") == "made up from the signature"
        page.run("document.querySelector('[aria-label=top]').focus()")
        page.type("7")
        assert json.loads(value(page, "body"))["params"] == {"top": 7}
        assert predict(page)["predictions"]["params"]["top"] == "7"
        assert page.complaints == []


def test_a_model_that_streams_is_shown_piece_by_piece(chromium: Browser) -> None:
    with serving(saved_model("streamer")) as served, chromium.open(f"{served.url}/docs") as page:
        page.run("document.getElementById('stream').click()")
        assert "stream=true" in text(page, "curl")
        fill(page, '{"inputs": {"x": [2]}}')
        page.run("document.getElementById('send').click()")
        page.wait("document.getElementById('status').innerText === '200'")
        assert text(page, "answer").splitlines() == ['{"x":2.0,"doubled":4.0}', '"that was all"']


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_stands_out_from_its_ground_in_light_and_dark(chromium: Browser, doubler: Served, dark: bool) -> None:
    with chromium.open(f"{doubler.url}/docs", dark=dark) as page:
        assert page.run(CONTRAST) == []
        fill(page, "{")
        predict(page)
        assert page.run(CONTRAST) == []
        bright = page.run("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).every(part => part > 128)")
        assert bright is not dark


def test_everything_that_takes_the_focus_has_a_name_and_the_page_has_its_landmarks(chromium: Browser, doubler: Served) -> None:
    with chromium.open(f"{doubler.url}/docs") as page:
        page.call("Accessibility.enable")
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        shown = [node for node in nodes if not node["ignored"]]
        focusable = [node for node in shown if any(each["name"] == "focusable" and each["value"]["value"] for each in node.get("properties", []))]
        assert len(focusable) > 8
        assert [node["role"]["value"] for node in focusable if not node.get("name", {}).get("value")] == []
        assert {"main", "banner", "heading", "table", "status"} <= {node["role"]["value"] for node in shown}
        assert page.run("document.documentElement.lang") == "en"
        page.press("Tab")
        assert page.run("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_nothing_overflows_on_a_narrow_screen(chromium: Browser, doubler: Served) -> None:
    with chromium.open(f"{doubler.url}/docs", width=360, height=700) as page:
        assert page.run("document.documentElement.scrollWidth") <= 360


def test_what_a_model_s_names_hold_is_never_run_as_script(chromium: Browser, doubler: Served) -> None:
    """A policy that names the page's own script by its digest: nothing else runs, and nothing is fetched from elsewhere."""
    with chromium.open(f"{doubler.url}/docs") as page:
        page.run("const added = document.createElement('script'); added.textContent = 'window.ran = true'; document.body.append(added)")
        assert page.run("window.ran") is None
        assert page.run("fetch('http://127.0.0.1:9/').then(() => 'fetched', error => 'refused')") == "refused"
        assert any("Content Security Policy" in each for each in page.complaints)
