"""At every width nothing hangs out of its button, and the page does not scroll sideways."""

from __future__ import annotations

from tests.web.browser import OpenedPages, PanelServer, browser, opened, served, shown, silent  # noqa: F401 - fixtures

WIDTHS = range(320, 1000, 17)
OUTSIDE = """() => [...document.querySelectorAll("button")].filter((button) => {
  const box = button.getBoundingClientRect();
  const parts = [...button.querySelectorAll("kbd")].map((part) => part.getBoundingClientRect());
  const outside = button.scrollWidth > button.clientWidth + 1 || parts.some((part) => part.right > box.right);
  return box.width && outside;
}).map((button) => button.textContent)"""


def test_nothing_hangs_out_of_its_button(served: PanelServer, opened: OpenedPages) -> None:  # noqa: F811
    page = opened.page(served)
    served.show(shown(silent(2.3, "cue")))
    page.wait_for_selector("#say[data-look=now]")
    wrong = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 700})
        outside = page.evaluate(OUTSIDE)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            outside.append("the page")
        if outside:
            wrong[width] = outside
    assert not wrong
