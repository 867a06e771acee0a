"""All pages, in one router."""

from fastapi import APIRouter

from vigia.portal import static_files
from vigia.portal.customer import outcome
from vigia.portal.everyone import definitions, engine, home, log_in, settings
from vigia.portal.operations import alarms, contract, fleet, models, work_orders
from vigia.portal.technician import job

router = APIRouter(include_in_schema=False)
for _pages in (home, log_in, settings, definitions, engine, fleet, alarms, work_orders, models, contract, outcome, job, static_files):
    router.include_router(_pages.router)
