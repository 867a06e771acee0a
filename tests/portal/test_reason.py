"""An order says by which rule it was raised, in the reader's words."""

import pytest

from vigia.portal.language import language_of
from vigia.portal.operations.work_orders import reason_view
from vigia.store.accounts import Language


@pytest.mark.parametrize(
    ("language", "rule", "sentence"),
    [
        ("en", (5, True), "Raised at 80% or more, 5 times in a row: the rule that is expected to cost least under this contract."),
        ("es", (5, True), "Creada con 80\u00a0% o más, 5 veces seguidas: la regla de menor coste esperado en este contrato."),
        ("pt", (2, True), "Criada com 80% ou mais, 2 vezes seguidas: a regra de menor custo esperado neste contrato."),
        ("es", (3, False), "Creada con 80\u00a0% o más, 3 veces seguidas: la regla del propio modelo."),
        ("en", (1, False), "Raised at 80% or more: the model's own rule."),
    ],
)
def test_an_order_says_by_which_rule_it_was_raised(language: Language, rule: tuple[int, bool], sentence: str) -> None:
    consecutive, by_cost = rule
    reason = {"rule": {"probability": 0.8, "consecutive": consecutive, "by_cost": by_cost}}
    assert reason_view(language_of(language), reason, "{cycle}").rule.replace("\u202f", "\u00a0") == sentence


def test_an_order_of_before_says_none() -> None:
    assert not reason_view(language_of("en"), {"probability": 0.8}, "{cycle}").rule
