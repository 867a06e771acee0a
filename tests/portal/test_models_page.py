"""The service manager changes the model in charge with one click, and is told what follows and what was refused."""

import psycopg
import pytest
from playwright.sync_api import Page, expect
from portal_harness import CUSTOMER, MANAGER, Visitor
from psycopg.types.json import Jsonb

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("portal"), pytest.mark.timeout(120)]

GOOD = {"brier": 0.02, "brier_of_the_base_rate": 0.12, "coverage80": 0.81, "orders": {"machines": 10, "caught": 9}}


def register(visitor: Visitor, version: str, **figures: float) -> int:
    """A version that is not in charge, of the same kind as the one that is."""
    metrics = {"machines": 10, "failures": 9, "closed_orders": 2, "out_of_fold": {**GOOD, **figures}}
    with psycopg.connect(visitor.portal.dsn, autocommit=True) as db:
        row = db.execute(
            "insert into vigia.model_version (asset_model_id, failure_mode, version, sha256, metrics, data_sha256, code_version) "
            "select asset_model_id, failure_mode, %s, '00', %s, 'abcdef0123456789', '0.1.0' from vigia.model_version where champion "
            "returning model_version_id",
            (version, Jsonb(metrics)),
        ).fetchone()
    assert row is not None
    return int(row[0])


def speak(visitor: Visitor, language: str) -> None:
    """Let the manager's pages be in that language."""
    with psycopg.connect(visitor.portal.dsn, autocommit=True) as db:
        db.execute("update vigia.account set language = %s where login = %s", (language, MANAGER))


def panel(page: Page, name: str) -> str:
    return page.get_by_role("region", name=name).first.text_content() or ""


def unfold(page: Page, version: str) -> None:
    """Open what the list of other versions says of that one; a page that was refreshed may have it open already."""
    page.locator("details", has=page.locator("summary", has_text=version)).first.evaluate("details => { details.open = true }")


def test_one_click_changes_the_model_in_charge_and_one_brings_it_back(visitor: Visitor) -> None:
    register(visitor, "2026.2")
    page = visitor.enter(MANAGER, "/models")
    unfold(page, "2026.2")
    expect(page.get_by_text("2 closed orders")).to_be_visible()
    page.get_by_role("button", name="Start in the shadow: 2026.2").click()
    expect(page.locator("[data-said]")).to_contain_text("The model predicts in the shadow.")
    assert "2026.2" in panel(page, "In the shadow")
    page.get_by_role("button", name="End the shadow: 2026.2").click()
    expect(page.locator("[data-said]")).to_contain_text("The model has left the shadow.")
    unfold(page, "2026.2")
    page.get_by_role("button", name="Put in charge: 2026.2").click()
    expect(page.locator("[data-said]")).to_contain_text("The model is in charge.")
    assert "2026.2" in panel(page, "In charge")
    page.get_by_role("button", name="Roll back: 2026.2").click()
    expect(page.locator("[data-said]")).to_contain_text("The model before it is in charge again.")
    assert "2026.1" in panel(page, "In charge")


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "within 10 cycles: 0.0086 always saying the share of failures: 0.0505"),
        ("es", "en 10 ciclos: 0,0086 diciendo siempre la proporción de fallos: 0,0505"),
        ("pt", "em 10 ciclos: 0,0086 dizendo sempre a proporção de falhas: 0,0505"),
    ],
)
def test_each_horizon_is_told_with_how_good_it_is(visitor: Visitor, language: str, said: str) -> None:
    version = f"2026.4-{language}"
    register(visitor, version)
    kept = [
        {"horizon": 60.0, "brier": 0.0246, "brier_of_the_base_rate": 0.2083},
        {"horizon": 10.0, "brier": 0.0086, "brier_of_the_base_rate": 0.0505},
    ]
    with psycopg.connect(visitor.portal.dsn, autocommit=True) as db:
        db.execute("update vigia.model_version set metrics = metrics || %s where version = %s", (Jsonb({"horizons": kept}), version))
    speak(visitor, language)
    try:
        page = visitor.enter(MANAGER, "/models")
        unfold(page, version)
        facts = page.locator("details", has=page.locator("summary", has_text=version)).first
        expect(facts.get_by_text(said)).to_be_visible()
        told = facts.text_content() or ""
    finally:
        speak(visitor, "en")
    assert told.index("0086") < told.index("0246")


def test_a_click_is_refused_when_the_models_changed_or_the_checks_fail(visitor: Visitor) -> None:
    unfit = register(visitor, "2026.3", brier=0.2)
    late, other = visitor.enter(MANAGER, "/models"), visitor.enter(MANAGER, "/models")
    for page in (late, other):
        unfold(page, "2026.3")
        expect(page.get_by_text("Its Brier score, 0.2000, is no better than")).to_be_visible()
        expect(page.get_by_role("button", name="Put in charge: 2026.3")).to_have_count(0)
        page.locator("summary", has_text="Put in charge all the same").first.click()
    late.evaluate(f"document.querySelector('form[action=\"/models/{unfit}/promote\"] [name=anyway]').remove()")
    late.get_by_role("button", name="Put in charge all the same: 2026.3").click()
    expect(late.get_by_role("alert")).to_contain_text("this model fails its checks")
    late.reload()
    unfold(late, "2026.3")
    late.locator("summary", has_text="Put in charge all the same").first.click()
    other.get_by_role("button", name="Put in charge all the same: 2026.3").click()
    expect(other.locator("[data-said]")).to_contain_text("The model is in charge.")
    late.get_by_role("button", name="Put in charge all the same: 2026.3").click()
    expect(late.get_by_role("alert")).to_contain_text("the models have changed meanwhile")
    other.get_by_role("button", name="Roll back: 2026.3").click()
    expect(other.locator("[data-said]")).to_contain_text("The model before it is in charge again.")


def test_only_the_service_manager_meets_the_page(visitor: Visitor) -> None:
    page = visitor.enter(CUSTOMER)
    answer = page.goto(f"{visitor.portal.url}/models")
    assert answer is not None
    assert answer.status == 403


def test_a_drift_is_counted_in_the_menu_and_explained_on_the_page(visitor: Visitor) -> None:
    inputs = {"T50": {"psi": 0.9, "psi_at_like_wear": 0.41, "readings": 900}}
    resolved = {"machines": 6, "told": 300, "brier": 0.05, "lives": 200, "held": 0.6}
    with psycopg.connect(visitor.portal.dsn, autocommit=True) as db:
        db.execute(
            "insert into vigia.model_drift (model_version_id, day, machines, inputs, resolved, warnings) "
            "select model_version_id, '2026-01-08', 24, %s, %s, '{inputs,interval}' from vigia.model_version where champion",
            (Jsonb(inputs), Jsonb(resolved)),
        )
    page = visitor.enter(MANAGER, "/models")
    expect(page.get_by_role("link", name="Models")).to_contain_text("1 needs a look")
    expect(page.get_by_text("T50 has moved furthest: stability index 0.41")).to_be_visible()
    expect(page.get_by_text("wear does not explain it")).to_be_visible()
    expect(page.get_by_text("60% of their lives in the 80% interval")).to_be_visible()
    with psycopg.connect(visitor.portal.dsn, autocommit=True) as db:
        db.execute("delete from vigia.model_drift")
