"""The service manager states what things cost under a contract, and sees which rule that chooses and what others would cost."""

from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import Page, expect
from portal_harness import CUSTOMER, MANAGER, TECHNICIAN, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("portal"), pytest.mark.timeout(120)]


@pytest.fixture
def contract_id(visitor: Visitor) -> Iterator[int]:
    """A contract that states no costs for now."""
    with psycopg.connect(visitor.portal.dsn, autocommit=True) as db:
        row = db.execute("select max(contract_id) from vigia.contract").fetchone()
        assert row is not None
        db.execute("create temp table before as select * from vigia.contract_cost where contract_id = %s", row)
        db.execute("delete from vigia.contract_cost where contract_id = %s", row)
        yield int(row[0])
        db.execute("delete from vigia.contract_cost where contract_id = %s", row)
        db.execute("insert into vigia.contract_cost select * from before")


def fill(page: Page, failure: str, visit: str, lost_life: str) -> None:
    for label, amount in (("A failure", failure), ("A planned visit", visit), ("Life thrown away", lost_life)):
        page.get_by_label(label).fill(amount)
    page.get_by_role("button", name="State the costs").click()


def costs(visitor: Visitor, contract_id: int) -> list[tuple[object, ...]]:
    with psycopg.connect(visitor.portal.dsn) as db:
        stated = "select failure::text, visit::text, lost_life::text from vigia.contract_cost where contract_id = %s"
        return db.execute(stated, (contract_id,)).fetchall()


def test_costs_choose_a_rule_that_stands_beside_its_neighbours(visitor: Visitor, contract_id: int) -> None:
    page = visitor.enter(MANAGER, "/outcome")
    page.get_by_role("link", name="When orders are raised").first.click()
    page.wait_for_url(f"{visitor.portal.url}/contracts/*")
    page.goto(f"{visitor.portal.url}/contracts/{contract_id}")
    expect(page.get_by_text("No costs are stated. Each model's own rule raises the orders")).to_be_visible()
    fill(page, "60000", "8000", "60.50")
    expect(page.locator("[data-said]")).to_contain_text("The costs are stated.")
    assert costs(visitor, contract_id) == [("60000.00", "8000.00", "60.50")]
    table = page.get_by_role("table").first
    expect(table.get_by_role("row").nth(1)).to_contain_text("This rule")
    rows = table.get_by_role("row").all_text_contents()
    assert any("The model's own" in row for row in rows)
    assert "60,000" in rows[-1]
    assert "100.0%" in rows[-1]
    fill(page, "", "", "")
    expect(page.locator("[data-said]")).to_contain_text("No costs are stated any more.")
    assert costs(visitor, contract_id) == []


def test_dear_failures_make_early_orders_and_dear_life_late_ones(visitor: Visitor, contract_id: int) -> None:
    page = visitor.enter(MANAGER, f"/contracts/{contract_id}")
    chosen = []
    for failure, life in (("9000000", "1"), ("9000", "900")):
        fill(page, failure, "800", life)
        expect(page.locator("[data-said]")).to_be_visible()
        sentence = page.get_by_text("An order is raised when the probability of failure is").first.text_content() or ""
        chosen.append(int(sentence.split(" is ")[-1].split("%")[0]))
    assert chosen[0] < 60
    assert chosen[1] == 90
    expect(page.get_by_text("It is at the edge of what was tried").first).to_be_visible()


@pytest.mark.parametrize(
    ("amounts", "problem", "field"),
    [
        (("60000", "8000", ""), "State all three, or none.", "Life thrown away"),
        (("60000", "dear", "60"), "Write an amount of 0 or more", "A planned visit"),
        (("-1", "8000", "60"), "Write an amount of 0 or more", "A failure"),
        (("1e40", "8000", "60"), "Write an amount of 0 or more", "A failure"),
        (("NaN", "8000", "60"), "Write an amount of 0 or more", "A failure"),
    ],
)
def test_what_is_no_amount_is_said_at_its_field_and_kept_as_typed(
    visitor: Visitor, contract_id: int, amounts: tuple[str, str, str], problem: str, field: str
) -> None:
    page = visitor.enter(MANAGER, f"/contracts/{contract_id}")
    fill(page, *amounts)
    expect(page.get_by_role("alert").first).to_contain_text(problem)
    expect(page.get_by_label(field)).to_have_attribute("aria-invalid", "true")
    assert tuple(page.get_by_label(label).input_value() for label in ("A failure", "A planned visit", "Life thrown away")) == amounts
    assert costs(visitor, contract_id) == []


@pytest.mark.parametrize("login", [CUSTOMER, TECHNICIAN])
def test_nobody_else_meets_the_page_or_a_link_to_it(visitor: Visitor, contract_id: int, login: str) -> None:
    page = visitor.enter(login, "/outcome")
    expect(page.get_by_text("When orders are raised")).to_have_count(0)
    answer = page.goto(f"{visitor.portal.url}/contracts/{contract_id}")
    assert answer is not None
    assert answer.status == 403


@pytest.mark.parametrize(("login", "guessed"), [(CUSTOMER, ""), (TECHNICIAN, ""), (MANAGER, "guessed")])
def test_nobody_else_and_no_other_site_states_costs(visitor: Visitor, contract_id: int, login: str, guessed: str) -> None:
    page = visitor.enter(login, "/outcome")
    amounts = {"asset_model": "cmapss-fd001", "failure": "1", "visit": "1", "lost_life": "1"}
    token = page.locator("input[name=csrf_token]").first.input_value()
    answer = page.request.post(f"{visitor.portal.url}/contracts/{contract_id}/costs", form={**amounts, "csrf_token": guessed or token})
    assert answer.status == 403
    assert costs(visitor, contract_id) == []


def test_there_is_no_page_of_a_contract_that_is_none(visitor: Visitor) -> None:
    page = visitor.enter(MANAGER)
    answer = page.goto(f"{visitor.portal.url}/contracts/2147483647")
    assert answer is not None
    assert answer.status == 404
