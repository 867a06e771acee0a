"""The pages as people meet them: in a real browser, by role and label, with the keyboard, large, small, dark and in three languages."""

import re
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Page, expect
from portal_harness import CUSTOMER, MANAGER, TECHNICIAN, Visitor

from vigia.portal.build import BUILD

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("portal"), pytest.mark.timeout(300)]

PORTUGUESE_CUSTOMER, SPANISH_CUSTOMER = "frota@ventalia.example", "flota@altiplana.example"
HEALTHY = "EC-V02-L"


def pages_of(visitor: Visitor, login: str | None) -> list[str]:
    """Every page of that account."""
    roles, orders = visitor.portal.flown.roles, visitor.portal.flown.orders
    if login is None:
        return ["/login", "/definitions"]
    if login == TECHNICIAN:
        return ["/", f"/jobs/{orders['PR-V01-L']}", f"/jobs/{orders['PR-V02-L']}", f"/engines/{roles['PR-V02-R']}", "/nowhere", "/outcome"]
    if login == MANAGER:
        return [
            "/",
            "/fleet",
            "/fleet?health=failure",
            "/alarms",
            "/alarms?view=over",
            "/work-orders",
            "/work-orders?view=past",
            "/models",
            "/models?said=checks",
            "/contracts/1",
            "/contracts/2",
            f"/work-orders/{orders['HK-V01-R']}",
            f"/engines/{roles['PR-V03-L']}",
        ]
    return [
        "/",
        f"/engines/{roles['EC-V01-R']}",
        "/alarms",
        "/work-orders",
        f"/work-orders/{orders['EC-V03-L']}",
        "/outcome",
        "/settings",
        "/nowhere",
    ]


def settle(page: Page) -> None:
    """Fonts are there and the chart, if any, is drawn."""
    page.evaluate("document.fonts.ready")
    if page.locator("#sensor-chart").count():
        expect(page.locator("#sensor-chart canvas")).to_be_visible()


def violations(page: Page) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate((BUILD / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then((r) => r.violations)"
    )
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("login", [None, CUSTOMER, MANAGER, TECHNICIAN])
def test_axe_finds_no_fault_on_any_page_in_any_theme(visitor: Visitor, login: str | None) -> None:
    page = visitor.enter(login)
    faults: dict[str, list[str]] = {}
    for path in pages_of(visitor, login):
        page.goto(visitor.portal.url + path)
        settle(page)
        for theme in ("light", "dark", "contrast"):
            page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            if found := violations(page):
                faults[f"{path} {theme}"] = found
    assert faults == {}


@pytest.mark.parametrize("login", [None, PORTUGUESE_CUSTOMER, MANAGER, TECHNICIAN])
@pytest.mark.parametrize(("width", "text"), [(320, "100"), (1280, "200")])
def test_no_page_scrolls_sideways(visitor: Visitor, login: str | None, width: int, text: str) -> None:
    page = visitor.enter(login, width=width)
    paths = (
        pages_of(visitor, login)
        if login != PORTUGUESE_CUSTOMER
        else ["/", f"/engines/{visitor.portal.flown.roles['PR-V02-L']}", "/alarms", "/outcome", "/settings"]
    )
    too_wide: dict[str, int] = {}
    for path in paths:
        page.goto(visitor.portal.url + path)
        page.evaluate(f"document.documentElement.dataset.text = '{text}'")
        settle(page)
        widest = page.evaluate("document.documentElement.scrollWidth")
        if widest > width:
            too_wide[path] = widest
    assert too_wide == {}


def test_a_customer_sees_the_own_fleet_at_once_and_nobody_elses(visitor: Visitor) -> None:
    page = visitor.enter(CUSTOMER)
    expect(page.get_by_role("heading", level=1)).to_have_text("1 engine needs maintenance. The visit is planned.")
    engines = page.get_by_role("list", name="Engines, what matters most first").get_by_role("listitem")
    expect(engines).to_have_count(6)
    expect(engines.first).to_contain_text("EC-V01-R")
    expect(engines.first).to_contain_text("Maintenance required")
    expect(page.get_by_text("Availability, by contract")).to_be_visible()
    other = page.goto(f"{visitor.portal.url}/engines/{visitor.portal.flown.roles['CS-V02-L']}")
    assert other is not None
    assert other.status == 404
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")


def test_the_keyboard_alone_leads_from_log_in_to_a_sensor_reading(visitor: Visitor) -> None:
    page = visitor.enter(None, "/login")
    page.keyboard.type(CUSTOMER)
    page.keyboard.press("Tab")
    page.keyboard.type("blue-heron-42")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{visitor.portal.url}/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    engine = page.get_by_role("link", name="EC-V01-R", exact=True)
    for _ in range(30):
        if engine.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(engine).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("EC-V01-R")
    settle(page)
    page.get_by_role("button", name="Enlarge T50").press("Enter")
    chart = page.locator("#sensor-chart")
    expect(chart).to_be_focused()
    page.keyboard.press("Home")
    readout = page.locator("#sensor-readout")
    expect(readout).to_contain_text("1 Jan 2026")
    before = readout.text_content()
    page.keyboard.press("ArrowRight")
    expect(readout).not_to_have_text(before or "")
    expect(readout).to_contain_text("T50")


def test_an_engine_and_its_order_say_how_likely_it_fails_within_each_horizon(visitor: Visitor) -> None:
    flown = visitor.portal.flown
    page = visitor.enter(CUSTOMER)
    for path in (f"/engines/{flown.roles['EC-V01-R']}", f"/work-orders/{flown.orders['EC-V01-R']}"):
        page.goto(visitor.portal.url + path)
        expect(page.get_by_role("term").filter(has_text=re.compile("^within"))).to_have_text(
            ["within 10 cycles", "within 30 cycles", "within 60 cycles"]
        )
        shares = [float(text.strip("<>%")) for text in page.locator(".horizons dd").all_text_contents()]
        assert shares == sorted(shares)


def test_a_healthy_engine_says_so_and_unfolds_what_moved_its_estimate(visitor: Visitor) -> None:
    page = visitor.enter(MANAGER, f"/engines/{visitor.portal.flown.roles[HEALTHY]}")
    why = page.get_by_role("region", name="What the estimate rests on")
    expect(why).to_contain_text("Nothing points to a failure; ")
    expect(why).not_to_contain_text("What became of machines that were alike")
    shares = why.get_by_role("listitem")
    expect(shares.first).not_to_be_visible()
    why.get_by_text("What each costs, in cycles of life").click()
    expect(shares).to_have_count(5)
    expect(shares.first).to_contain_text("healthy")


def test_every_chart_has_its_table_and_file(visitor: Visitor) -> None:
    page = visitor.enter(CUSTOMER, f"/engines/{visitor.portal.flown.roles['EC-V01-R']}")
    settle(page)
    for name in ("Remaining life, table", "Sensor readings, table"):
        region = page.get_by_role("region", name=name)
        page.locator("details").filter(has=page.get_by_role("region", name=name, include_hidden=True)).locator("summary").click()
        assert region.get_by_role("row").count() > 40
    for link in page.get_by_role("link", name="CSV").all():
        response = page.request.get(visitor.portal.url + (link.get_attribute("href") or ""))
        assert response.headers["content-type"].startswith("text/csv")
        assert len(response.text().splitlines()) > 100


def test_a_wrong_password_is_told_and_the_login_kept(visitor: Visitor) -> None:
    page = visitor.enter(None, "/login?next=/outcome")
    page.get_by_label("Login").fill(CUSTOMER)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("The login or the password is wrong")
    expect(page.get_by_label("Login")).to_have_value(CUSTOMER)
    assert page.get_by_label("Login").get_attribute("autocomplete") == "username"
    page.get_by_label("Password").fill("blue-heron-42")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{visitor.portal.url}/outcome")


def test_settings_are_kept_with_the_account(visitor: Visitor) -> None:
    page = visitor.enter("frota@tejomar.example", "/settings")
    page.get_by_role("radio", name="Español").check()
    page.get_by_role("radio", name=re.compile("Alto contraste|High contrast")).check()
    page.locator("main button.primary").click()
    expect(page.get_by_role("status").first).to_have_text("Sus ajustes están guardados.")
    elsewhere = visitor.enter("frota@tejomar.example", locale="pt-BR")
    expect(elsewhere.locator("html")).to_have_attribute("lang", "es")
    expect(elsewhere.locator("html")).to_have_attribute("data-theme", "contrast")


@pytest.mark.parametrize(
    ("login", "lang", "sentence"),
    [
        (CUSTOMER, "en", "1 engine needs maintenance. The visit is planned."),
        (SPANISH_CUSTOMER, "es", "1 motor está parado. La visita está prevista."),
        (PORTUGUESE_CUSTOMER, "pt-BR", "1 motor precisa de manutenção. A visita está marcada."),
    ],
)
def test_each_account_reads_its_own_language(visitor: Visitor, login: str, lang: str, sentence: str) -> None:
    page = visitor.enter(login)
    expect(page.locator("html")).to_have_attribute("lang", lang)
    expect(page.get_by_role("heading", level=1)).to_have_text(sentence)


def test_the_manager_acknowledges_and_shelves_without_leaving_the_list(visitor: Visitor) -> None:
    page = visitor.enter(MANAGER, "/alarms")
    page.get_by_role("button", name=re.compile("Acknowledge: .*PR-V02-L")).click()
    item = page.get_by_role("listitem").filter(has_text="PR-V02-L")
    expect(item).to_contain_text("Acknowledged · Marta Olmedo")
    drifting = page.get_by_role("listitem").filter(has_text="PR-V02-R")
    drifting.locator("summary").click()
    drifting.get_by_label("Out of sight for").select_option("4")
    drifting.get_by_role("button", name="Shelve").click()
    expect(page.get_by_role("heading", name="Out of sight")).to_be_visible()
    page.get_by_role("button", name="Bring back").click()
    expect(page.get_by_role("heading", name="Out of sight")).to_have_count(0)


def test_a_customer_may_look_at_alarms_but_not_act(visitor: Visitor) -> None:
    page = visitor.enter(CUSTOMER, "/alarms")
    expect(page.get_by_text("Failure predicted: high-pressure compressor degradation")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Acknowledge|Shelve"))).to_have_count(0)


@pytest.mark.parametrize(
    ("login", "never"),
    [
        (MANAGER, "A shape never seen in 5 weeks of health: none of 60 healthy stretches was as unusual."),
        (PORTUGUESE_CUSTOMER, "Uma forma nunca vista em 5 semanas com saúde: nenhum de 60 trechos saudáveis foi tão incomum."),
    ],
)
def test_whether_a_shape_was_ever_seen_in_health_stands_beside_the_alarm(visitor: Visitor, login: str, never: str) -> None:
    page = visitor.enter(login, "/alarms")
    expect(page.get_by_role("listitem").filter(has_text="PR-V02-R")).to_contain_text(never)
    page.goto(f"{visitor.portal.url}/engines/{visitor.portal.flown.roles['PR-V02-R']}")
    expect(page.locator("#history").get_by_text(never)).to_be_visible()


def test_a_change_in_the_database_reaches_the_open_page_and_can_be_paused(visitor: Visitor) -> None:
    page = visitor.enter(MANAGER, "/alarms")
    expect(page.locator("#pulse")).to_have_attribute("data-state", "live")
    link = page.get_by_role("link", name="HK-V01-R")
    link.focus()
    change(visitor, "low")
    item = page.get_by_role("listitem").filter(has_text="HK-V01-R")
    expect(item).to_contain_text("Low")
    expect(link).to_be_focused()
    page.get_by_role("button", name="Pause live updates").click()
    expect(page.locator("#pulse")).to_have_attribute("data-state", "paused")
    change(visitor, "critical")
    page.wait_for_timeout(1500)  # longer than a live page takes: nothing may come
    expect(item).to_contain_text("Low")
    page.get_by_role("button", name="Pause live updates").click()
    expect(item).to_contain_text("Critical")


def change(visitor: Visitor, priority: str) -> None:
    """Another process changes the failed engine's alarm and says so."""
    with psycopg.connect(visitor.portal.dsn, options="-c search_path=vigia") as connection:
        row = connection.execute(
            "update alarm set priority = %s where condition = 'failed' returning customer_id, role_id", (priority,)
        ).fetchone()
        assert row is not None
        connection.execute(
            "select pg_notify('vigia_changes', json_build_object('kind', 'alarm', 'customer_id', %s, 'role_id', %s)::text)", row
        )


def test_a_job_is_done_on_the_phone_and_input_survives_every_failure(visitor: Visitor) -> None:
    order = visitor.portal.flown.orders["PR-V01-L"]
    page = visitor.enter(TECHNICIAN, width=390, height=844)
    page.get_by_role("link", name="PR-V01-L").click()
    visitor.complaints.clear()
    for button in page.get_by_role("button", name=re.compile("^(Feito|Done): ")).all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    page.get_by_role("button", name=re.compile("^Feito: Inspecione")).click()
    expect(page.get_by_role("button", name=re.compile("^Feito: Inspecione"))).to_have_count(0)
    page.get_by_label("Nota").fill("Desgaste visível no estágio 4.")
    page.get_by_role("button", name="Concluir o trabalho").click()
    expect(page.get_by_text("Diga se a previsão estava certa.")).to_be_visible()
    expect(page.get_by_label("Nota")).to_have_value("Desgaste visível no estágio 4.")
    page.get_by_role("radio", name="A previsão estava certa").check()
    page.get_by_label("O que foi encontrado?").select_option("wear")
    page.get_by_label(re.compile("Número de série")).fill("esn-9999")
    page.context.set_offline(True)
    page.get_by_role("button", name="Concluir o trabalho").click()
    expect(page.get_by_text("Não foi enviado: sem conexão.", exact=False).first).to_be_visible()
    page.context.set_offline(False)
    visitor.complaints.clear()
    page.get_by_role("button", name="Concluir o trabalho").click()
    expect(page.get_by_text("Esse número de série não é um reserva disponível", exact=False)).to_be_visible()
    expect(page.get_by_label("Nota")).to_have_value("Desgaste visível no estágio 4.")
    page.get_by_label(re.compile("Número de série")).fill("")
    page.get_by_role("button", name="Concluir o trabalho").click()
    expect(page.get_by_role("strong")).to_have_text("Trabalho concluído.")
    with psycopg.connect(visitor.portal.dsn, options="-c search_path=vigia") as connection:
        found = connection.execute("select verdict, cause_code, note, state from work_order where work_order_id = %s", (order,)).fetchone()
    assert found == ("confirmed", "wear", "Desgaste visível no estágio 4.", "closed")
