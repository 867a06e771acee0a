"""Codes of the database in the reader's words. Unknown codes are shown as they are, never hidden."""

from collections.abc import Mapping
from types import MappingProxyType

from vigia.domain.models import Check, Complaint
from vigia.portal.language import N_, Language

HEALTH: Mapping[str, str] = {
    "normal": N_("Normal"),
    "maintenance_required": N_("Maintenance required"),
    "off_spec": N_("Off-spec"),
    "check": N_("Check"),
    "failure": N_("Failure"),
}
"""NAMUR NE 107."""

WHY: Mapping[str, str] = {
    "nothing_unusual": N_("Readings as expected"),
    "predicted": N_("Failure predicted"),
    "drifting": N_("A sensor has left its normal range"),
    "sensor_fault": N_("A sensor is at fault"),
    "in_work": N_("A technician is at work on it"),
    "no_readings": N_("No readings are arriving"),
    "no_machine": N_("No engine is installed"),
    "failed": N_("The engine has failed"),
}

SENSORS: Mapping[str, str] = {
    "T2": N_("Total temperature at fan inlet"),
    "T24": N_("Total temperature at low-pressure compressor outlet"),
    "T30": N_("Total temperature at high-pressure compressor outlet"),
    "T50": N_("Total temperature at low-pressure turbine outlet"),
    "P2": N_("Pressure at fan inlet"),
    "P15": N_("Total pressure in bypass duct"),
    "P30": N_("Total pressure at high-pressure compressor outlet"),
    "Nf": N_("Physical fan speed"),
    "Nc": N_("Physical core speed"),
    "epr": N_("Engine pressure ratio"),
    "Ps30": N_("Static pressure at high-pressure compressor outlet"),
    "phi": N_("Fuel flow relative to static pressure"),
    "NRf": N_("Corrected fan speed"),
    "NRc": N_("Corrected core speed"),
    "BPR": N_("Bypass ratio"),
    "farB": N_("Burner fuel-air ratio"),
    "htBleed": N_("Bleed enthalpy"),
    "Nf_dmd": N_("Demanded fan speed"),
    "PCNfR_dmd": N_("Demanded corrected fan speed"),
    "W31": N_("High-pressure turbine coolant bleed"),
    "W32": N_("Low-pressure turbine coolant bleed"),
}

FAILURE_MODES: Mapping[str, str] = {
    "hpc_degradation": N_("High-pressure compressor degradation"),
    "unspecified": N_("Cause not yet known"),
}

METHODS: Mapping[str, str] = {
    "wear": N_("Few failures are known: estimated from how far it has worn"),
    "survival": N_("Few failures are known: estimated from its age"),
}
"""What a prediction rests on where it is not the usual."""

CHECKS: Mapping[Check, str] = {
    Check.FIGURES: N_("It has no figures on machines that it had not seen."),
    Check.BRIER: N_("Its Brier score, %(said)s, is no better than that of always saying the share of failures, %(limit)s."),
    Check.COVERAGE: N_("Its 80 %% interval holds only %(said)s of the lives; %(limit)s is the least."),
    Check.CAUGHT: N_("Its orders would have come in time for %(said)s of %(limit)s machines only."),
    Check.CHAMPION: N_("Its Brier score, %(said)s, is worse than that of the model in charge, %(limit)s."),
}

DRIFTS: Mapping[str, str] = {
    "inputs": N_("The fleet sends other readings than the model learned from, and wear does not explain it."),
    "brier": N_("Its probabilities came true less well than it promised."),
    "interval": N_("Too few lives lay in the interval that promises eight of ten."),
}

ENDINGS: Mapping[str, str] = {
    "failed": N_("then it failed"),
    "confirmed": N_("then it was replaced, the failure on its way"),
    "sound": N_("then nothing was found"),
}
"""How a similar past case ended."""

PRIORITIES: Mapping[str, str] = {"critical": N_("Critical"), "high": N_("High"), "medium": N_("Medium"), "low": N_("Low")}

ALARM_STATES: Mapping[str, str] = {
    "unacknowledged": N_("Not acknowledged"),
    "acknowledged": N_("Acknowledged"),
    "returned_unacknowledged": N_("Back to normal, not acknowledged"),
    "normal": N_("Over"),
    "shelved": N_("Shelved"),
    "suppressed": N_("Explained by another alarm"),
    "out_of_service": N_("Out of service"),
}

ORDER_STATES: Mapping[str, str] = {
    "draft": N_("Draft"),
    "triaged": N_("Triaged"),
    "approved": N_("Approved"),
    "scheduled": N_("Scheduled"),
    "dispatched": N_("Dispatched"),
    "accepted": N_("Accepted"),
    "travelling": N_("On the way"),
    "in_progress": N_("In progress"),
    "on_hold": N_("On hold"),
    "work_done": N_("Work done"),
    "verified": N_("Verified"),
    "closed": N_("Closed"),
    "cannot_complete": N_("Cannot be completed"),
    "cancelled": N_("Cancelled"),
}

ORDER_KINDS: Mapping[str, str] = {"predictive": N_("Predictive"), "corrective": N_("Corrective")}

STEPS: Mapping[str, str] = {
    "review_diagnosis": N_("Review the diagnosis and the trend of the readings"),
    "secure_aircraft": N_("Secure the aircraft: chocks, power off, tags on the breakers"),
    "inspect_borescope": N_("Inspect the high-pressure compressor with the borescope"),
    "find_cause": N_("Find what failed and note what you see"),
    "remove_engine": N_("Remove the engine"),
    "install_engine": N_("Install the replacement engine"),
    "check_leaks": N_("Check fuel, oil and air lines for leaks"),
    "run_on_ground": N_("Run the engine on the ground"),
    "release_to_service": N_("Release to service"),
}

VERDICTS: Mapping[str, str] = {
    "confirmed": N_("Prediction was right"),
    "early": N_("Right, but too early"),
    "wrong": N_("Prediction was wrong"),
    "inconclusive": N_("Could not be judged"),
}

# ISO 14224 failure mechanisms a compressor or its readings can show; 'none' when nothing was found.
CAUSES: Mapping[str, str] = {
    "wear": N_("Wear"),
    "erosion": N_("Erosion"),
    "corrosion": N_("Corrosion"),
    "fatigue": N_("Fatigue"),
    "fouling": N_("Fouling or deposits"),
    "foreign_object": N_("Damage by a foreign object"),
    "instrument": N_("Sensor or wiring"),
    "none": N_("Nothing found"),
    "unknown": N_("Not yet known"),
}

CATEGORIES: Mapping[str, str] = {
    "up": N_("Up"),
    "derated": N_("Up at reduced power"),
    "supplier_down": N_("Down, ours to answer"),
    "supplier_planned_excess": N_("Planned work beyond the agreed time"),
    "customer_idle": N_("Idle, not needed"),
    "planned_agreed": N_("Planned work as agreed"),
    "external_utility": N_("External supply lost"),
    "customer_caused": N_("Caused by the customer"),
    "force_majeure": N_("Force majeure"),
    "data_unknown": N_("Unknown, no readings"),
}

KINDS: Mapping[str, str] = {"customer": N_("Customer"), "technician": N_("Technician"), "service_manager": N_("Service manager")}

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "1": "",
        "[degR]": "°R",
        "Rnk": "°R",
        "[psi]": "psi",
        "[lbf_av]/[sin_i]": "psi",
        "{rpm}": "rpm",
        "/min": "rpm",
        "{rev}/min": "rpm",
        "%": "%",
        "[lb_av]/s": "lb/s",
        "[lb_av]/s/[psi]": "lb/s/psi",
        "h": "h",
        "{cycle}": "",
        "Cel": "°C",
        "[pptr]": "",
    }
)
"""UCUM codes as people write them."""


def word(language: Language, table: Mapping[str, str], code: str) -> str:
    """The word for `code`, or the code with its underscores opened."""
    return language.text(table[code]) if code in table else code.replace("_", " ")


def unit(code: str) -> str:
    """The unit as people write it."""
    return UNITS.get(code, code.replace("[", "").replace("]", "").replace("{", "").replace("}", ""))


def life(language: Language, value: float, life_unit: str) -> str:
    """'46 cycles': an amount of remaining life."""
    amount = max(0, round(value))
    if life_unit == "{cycle}":
        return language.plural("%(count)s cycle", "%(count)s cycles", amount)
    if life_unit == "h":
        return language.plural("%(count)s hour", "%(count)s hours", amount)
    return f"{language.number(amount)} {unit(life_unit)}"


SENSOR_CONDITIONS: Mapping[str, str] = {
    "drift": N_("%(sensor)s has left its normal range"),
    "rate": N_("%(sensor)s changes faster than usual"),
    "sensor": N_("The sensor of %(sensor)s is at fault"),
    "together": N_("%(sensor)s no longer moves with the other sensors"),
}


def condition(language: Language, code: str) -> str:
    """An alarm's condition as a sentence."""
    kind, _, subject = code.partition(":")
    if kind == "failure_predicted":
        return language.text("Failure predicted: %(mode)s", mode=word(language, FAILURE_MODES, subject).lower())
    if kind in SENSOR_CONDITIONS:
        sensor = f"{subject} ({word(language, SENSORS, subject).lower()})"
        return language.text(SENSOR_CONDITIONS[kind], sensor=sensor)
    if kind == "failed":
        return language.text("The engine has failed")
    return code.replace("_", " ")


def complaint(language: Language, found: Complaint) -> str:
    """What speaks against a model."""
    write = {Check.COVERAGE: language.percent, Check.CAUGHT: language.number}.get(found.check, lambda value: language.number(value, 4))
    return language.text(CHECKS[found.check], said=write(found.said), limit=write(found.limit))
