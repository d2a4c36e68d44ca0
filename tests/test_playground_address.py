"""The playground's address leads to the very text, and nowhere else."""

import json
import re

import pytest
from PIL import Image
from test_playground import (  # noqa: F401 (fixtures)
    EVIL,
    TEXT,
    assets,
    choose_token,
    chosen,
    load,
    opened,
    playground,
    press,
    ready,
    reference,
    server,
    settled,
    status,
    tab,
    text_of,
    turn,
    type_text,
)

from minigpt.run import bundle

LATER = 400  # ms after which the address is right


def address(page):
    page.wait_for_timeout(LATER)
    return page.evaluate("location.hash")


@pytest.fixture
def followed(server, visit):  # noqa: F811
    """followed(fragment) -> a new page that was opened with it."""
    seen = []

    def go(fragment, path="page.html"):
        seen.append(visit(server.base, f"{path}{fragment}"))
        ready(seen[-1].page)
        return seen[-1].page

    yield go
    for each in seen:
        assert each.errors == [] and each.foreign == []


def shown(page):
    """All that a link has to bring back."""
    settled(page)
    return {
        "text": text_of(page),
        "tokens": page.locator(".mg-pg-chip").all_inner_texts(),
        "chosen": chosen(page),
        "next": page.locator(".mg-pg-next tbody").inner_text(),
        "caption": page.locator(".mg-pg-next caption").inner_text(),
        "head": page.locator(".mg-pg-strip[aria-pressed=true]").evaluate_all(
            "all => all.map(e => e.title)"
        ),
        "off": page.locator(".mg-pg-head[aria-pressed=true]").evaluate_all(
            "all => all.map(e => e.getAttribute('aria-label'))"
        ),
        "seed": page.get_by_label("seed").first.input_value(),
    }


def test_link_brings_everything_back(opened, followed):  # noqa: F811
    page = opened()
    tab(page, "Heads")
    page.locator(".mg-pg-head").nth(1).click()
    page.locator(".mg-pg-head").nth(5).click()
    type_text(page, TEXT[:20])
    turn(page, "temperature", 13)
    turn(page, "top-k", 5)
    turn(page, "top-p", 19)
    page.get_by_label("seed").first.fill("77")
    page.get_by_label("tokens to write").fill("8")
    press(page, "continue")
    choose_token(page, 4)
    tab(page, "Attention")
    page.locator(".mg-pg-strip").nth(4).click()
    before = shown(page)
    assert before["chosen"] == 4 and before["off"] and before["head"]
    assert shown(followed(address(page))) == before


def test_link_to_chosen_words_and_changed_settings(
    opened,  # noqa: F811
    followed,
):
    """What was written with other settings is in the link as it is."""
    page = opened()
    type_text(page, "it's 1790")
    page.get_by_label("tokens to write").fill("4")
    press(page, "continue")
    page.locator(".mg-pg-candidate").nth(3).click()
    settled(page)
    turn(page, "temperature", 19)
    press(page, "continue")
    press(page, "take one back")
    before = shown(page)
    assert page.locator(".mg-pg-written").count() == 8
    assert shown(followed(address(page))) == before


def test_reload_keeps_the_text(opened):  # noqa: F811
    page = opened()
    type_text(page, "abc")
    page.get_by_label("tokens to write").fill("6")
    press(page, "continue")
    before = shown(page)
    address(page)
    page.reload()
    ready(page)
    assert shown(page) == before


def test_back_and_forward(opened):  # noqa: F811
    page = opened()
    first = text_of(page)
    page.get_by_label("tokens to write").fill("5")
    texts = [first]
    for text in ("abc", "abd"):
        type_text(page, text)
        press(page, "continue")
        texts.append(text_of(page))
        address(page)
    assert len({*texts}) == 3
    page.go_back()
    settled(page)
    assert text_of(page) == texts[1]
    page.go_forward()
    settled(page)
    assert text_of(page) == texts[2]
    page.go_back()
    page.go_back()
    settled(page)
    assert text_of(page) == texts[0]


def test_two_tabs_are_independent(server, visit):  # noqa: F811
    seen = visit(server.base, "page.html#t=abc&n=5&seed=4")
    other = seen.page.context.new_page()
    other.goto(f"{server.base}/page.html#t=abd&n=7&seed=5")
    for page in (seen.page, other):
        ready(page)
    before = shown(seen.page)
    assert before["text"].startswith("abc")
    assert text_of(other).startswith("abd")
    type_text(other, "z")
    assert shown(seen.page) == before
    seen.page.reload()
    ready(seen.page)
    assert shown(seen.page) == before


def test_link_names_its_model(followed):
    page = followed("#t=Mia&m=world&n=3", "two.html")
    assert page.get_by_role("radio", name="A little world").is_checked()
    assert "1 blocks of 2 heads" not in status(page)
    assert "3 tokens written" in status(page)
    assert page.locator(".mg-pg-head").count() == 2
    page = followed("#t=Mia&m=nowhere", "two.html")
    assert page.get_by_role("radio", name="The presidents").is_checked()


HOSTILE = {
    f"t={EVIL}&m={EVIL}&seed={EVIL}&head={EVIL}&off={EVIL}": EVIL,
    "t=%3Cscript%3Ewindow.hacked=1%3C/script%3E&n=-5": (
        "<script>window.hacked=1</script>"
    ),
    "t=a&seed=-1&T=1e9&p=NaN&k=0&n=1e3&at=-4&head=9.9&off=99.99_0": "a",
    "t=a&T=__proto__&n=99999999999&at=99999&head=1.2.3": "a",
    "t=%E0%A4%A&m=constructor": "�%A",
    "i=999999.1.2&t=b": "b",
    "i=1e3&t=c": "c",
    "i=&t=%F0%9F%91%A9%00%E2%80%AE": "👩\0\u202e",
}


@pytest.mark.parametrize("fragment", HOSTILE)
def test_hostile_fragment_is_text_or_ignored(fragment, followed):
    page = followed(f"#{fragment}")
    assert text_of(page).rstrip("\ufffd") == HOSTILE[fragment].rstrip("\ufffd")
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script").count() == 0
    assert page.locator(".mg-pg-written").count() == 0
    press(page, "one token")
    assert "This did not work" not in status(page)


def test_fragment_of_a_heading_is_none_of_the_playground(
    server,  # noqa: F811
    visit,
):
    page = visit(server.base, "page.html#what-you-see").page
    page.wait_for_timeout(LATER)
    assert not page.get_by_label("Your text").is_visible()
    load(page)
    type_text(page, "abc")
    page.evaluate("location.hash = '#what-to-expect'")
    settled(page)
    assert text_of(page) == "abc"


def test_text_that_is_too_long_has_no_address(opened):  # noqa: F811
    page = opened()
    type_text(page, "x" * 9000)
    assert address(page) == ""
    type_text(page, "x")
    assert address(page).startswith("#t=x&")


def test_link_is_copied(opened, followed):  # noqa: F811
    page = opened()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    type_text(page, "a & b #1 =?+%")
    press(page, "copy link")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url.split("#")[0] + page.evaluate("location.hash")
    other = followed(re.sub("^[^#]*", "", link))
    assert text_of(other) == "a & b #1 =?+%"


def test_image_is_kept_as_a_file_where_the_clipboard_is_refused(
    opened,  # noqa: F811
    tmp_path,
):
    page = opened(color_scheme="dark")
    type_text(page, f"{EVIL}\n\n{TEXT}{'word ' * 200}{'x' * 3000}")
    page.evaluate(
        "() => { navigator.clipboard.write = () => Promise.reject(); }"
    )
    with page.expect_download() as download:
        press(page, "copy image")
    download.value.save_as(tmp_path / "written.png")
    with Image.open(tmp_path / "written.png") as picture:
        assert picture.format == "PNG" and picture.width == 1200
        assert 630 <= picture.height <= 1300
        assert picture.getpixel((2, 2))[:3] == (20, 24, 29)
        colors = picture.convert("RGB").getcolors(1 << 24)
    assert len(colors) > 20  # letters, not an empty sheet


# --- the recorded example ---------------------------------------------------


def recorded():
    text = (bundle.PLAYGROUND / "recorded.js").read_text(encoding="utf-8")
    assert len(text.encode()) <= 20_000
    return json.loads(text[text.index("{") : text.rindex("}") + 1])


def test_recorded_example_is_what_the_model_writes(visit, serve, tmp_path):
    """Run benchmarks/example.py again when the first model has changed."""
    found, folder = recorded(), playground.shipped()[0]
    (model,) = playground.models([folder])
    assert found["model"] == model["name"]
    assert found["sha256"] == model["files"][1]["sha256"]
    playground.write(tmp_path, [folder])
    html = playground.page_html([folder])
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    page = visit(serve(tmp_path), "page.html", reduced_motion="reduce").page
    text = "".join(found["tokens"])
    assert page.locator(".mg-pg-under").inner_text().strip("\u200b") == text
    before = page.locator(".mg-pg-candidate:visible").all_inner_texts()
    load(page)
    assert text_of(page) == "".join(found["tokens"][: found["own"]])
    n = len(found["tokens"]) - found["own"]
    page.get_by_label("tokens to write").fill(str(n))
    press(page, "continue")
    assert text_of(page) == text
    after = page.locator(".mg-pg-candidate:visible").all_inner_texts()
    assert [x.split()[0] for x in before] == [x.split()[0] for x in after]


def test_playing_ends_and_can_be_started_again(opened, server, visit):  # noqa: F811
    page = visit(server.base, "page.html").page
    chips = page.locator(".mg-pg-chip")
    page.wait_for_timeout(1000)
    begun = chips.count()
    page.wait_for_timeout(1000)
    assert chips.count() > begun >= recorded()["own"]
    again = page.get_by_role("button", name="play it again")
    again.click()
    assert chips.count() < begun + 2
