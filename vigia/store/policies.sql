-- Who may see and write what.
--
-- vigia_owner owns everything and migrates; vigia_service is ingest, analytics and worker, acting for all customers; vigia_app is the api
-- and portal, acting for one caller a transaction (settings vigia.customer_id, vigia.account_id, vigia.staff, local to it); vigia_reporter
-- reads. Staff of the manufacturer see all customers, a customer sees its own, nobody without a caller sees anything.
--
-- Every table has row-level security, forced, so that the owner too passes the callers' policies: views run as their owner, and a mistake
-- in one shows nothing rather than everything. Exceptions: telemetry and its rollups, because TimescaleDB refuses policies beside the
-- columnstore. The app has no grant on those and reads the *_visible views. A test walks the catalogue and fails on anything else.
--
-- Log-in and session look-up happen before a caller is known: the api does them in transactions of their own as staff. No policy is
-- opened for them.

grant usage on schema vigia to vigia_service, vigia_app, vigia_reporter;

do $$
declare
    name text;
begin
    for name in select relname from pg_class where relnamespace = 'vigia'::regnamespace and relkind = 'r' and relname <> 'telemetry' loop
        execute format('grant select, insert, update, delete on %I to vigia_service', name);
        continue when name in ('telemetry_1m', 'telemetry_1h', 'point_latest');
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy service on %I to vigia_service using (true) with check (true)', name);
        execute format('create policy reporter on %I for select to vigia_reporter using (true)', name);
        continue when name in ('account', 'login_session', 'baseline', 'dead_letter', 'detector_snapshot', 'edge_configuration', 'edge_token');
        execute format('grant select on %I to vigia_reporter', name);
    end loop;
    -- Tables that say whose a row is. Callers see theirs; staff alone writes, below are the exceptions.
    foreach name in array array['customer', 'site', 'area', 'line', 'edge_node', 'role', 'installation', 'finding', 'prediction', 'failure_case',
                                'alarm', 'alarm_event', 'work_order', 'work_order_event', 'work_order_step', 'visit', 'state_interval',
                                'contract', 'audit_event', 'edge_certificate', 'edge_configuration', 'command', 'command_approval'] loop
        execute format('create policy caller on %I for select to vigia_app, vigia_owner using (may_see(customer_id))', name);
    end loop;
    -- What staff writes through the app or a migration.
    foreach name in array array['customer', 'site', 'area', 'line', 'edge_node', 'role', 'asset', 'asset_model', 'point', 'installation', 'failure_case',
                                'alarm', 'alarm_event', 'work_order', 'work_order_event', 'work_order_step', 'visit', 'state_interval',
                                'contract', 'contract_cost', 'audit_event', 'account', 'login_session', 'baseline', 'birth', 'dead_letter', 'detector_snapshot', 'edge_certificate',
                                'edge_configuration', 'edge_epoch', 'edge_token', 'finding', 'ledger', 'model_drift', 'model_rule', 'model_training', 'model_version', 'prediction',
                                'rollout', 'shadow_prediction', 'tombstone', 'command', 'command_approval'] loop
        execute format('create policy staff on %I to vigia_app, vigia_owner using (caller_is_staff()) with check (caller_is_staff())', name);
    end loop;
    -- Rows without a customer of their own belong to the edge node they came from, or to no one in particular.
    foreach name in array array['ledger', 'tombstone', 'edge_epoch', 'birth'] loop
        execute format('create policy caller on %1$I for select to vigia_app, vigia_owner
                        using (exists (select from edge_node n where n.edge_node_id = %1$I.edge_node_id))', name);
    end loop;
    foreach name in array array['asset_model', 'model_version'] loop
        execute format('create policy caller on %I for select to vigia_app, vigia_owner using (caller_customer() is not null)', name);
    end loop;
end $$;

-- A roll-out is visible to whom it brings something.
create policy caller on rollout for select to vigia_app, vigia_owner
    using (exists (select from edge_configuration c where c.rollout_id = rollout.rollout_id));

-- A machine and its points are visible to whom it serves, or has served.
create policy caller on asset for select to vigia_app, vigia_owner using (exists (select from installation i where i.asset_id = asset.asset_id));
create policy caller on point for select to vigia_app, vigia_owner using (exists (select from installation i where i.asset_id = point.asset_id));

create policy migrations on schema_migration to vigia_owner using (true) with check (true);
create policy everybody on schema_migration for select to vigia_app using (true);

-- Customers confirm their alarms, and what they do is on record.
create policy caller_changes on alarm for update to vigia_app using (may_see(customer_id)) with check (may_see(customer_id));
create policy caller_adds on alarm_event for insert to vigia_app with check (may_see(customer_id));
create policy caller_adds on audit_event for insert to vigia_app with check (may_see(customer_id));

-- People see their colleagues and change themselves, their company excepted.
create policy caller on account for select to vigia_app using (may_see(customer_id) or account_id = caller_account());
create policy caller_changes on account for update to vigia_app using (account_id = caller_account())
    with check (account_id = caller_account() and (caller_is_staff() or coalesce(customer_id = caller_customer(), false)));
create policy caller on login_session to vigia_app using (account_id = caller_account()) with check (account_id = caller_account());
create policy people on account for select to vigia_owner using (true);
grant select (account_id, customer_id, kind, name, language, disabled_at) on account to vigia_reporter;

grant select on
    account, alarm, alarm_event, area, asset, asset_model, audit_event, birth, command, command_approval, contract, contract_cost, customer, dead_letter,
    edge_certificate, edge_configuration, edge_epoch, edge_node, edge_token, failure_case, finding, installation, ledger, line, login_session, model_drift,
    model_rule, model_training, model_version, point, prediction, role, rollout, schema_migration, shadow_prediction, site, state_interval, tombstone, visit, work_order, work_order_event,
    work_order_step
to vigia_app;
grant insert, update on
    account, alarm, area, asset, asset_model, command, contract, contract_cost, customer, edge_certificate, edge_configuration, edge_node, edge_token,
    failure_case, installation, line, login_session, point, role, rollout, site, state_interval, visit, work_order, work_order_step
to vigia_app;
grant insert on alarm_event, audit_event, command_approval, work_order_event to vigia_app;
grant update (champion, shadow, approved_by, approved_at, replaced_id, withdrawn_at) on model_version to vigia_app;
grant delete on login_session, dead_letter, contract_cost to vigia_app;
grant select on ledger_hole to vigia_service, vigia_app, vigia_reporter;

-- ── telemetry as a caller may see it ─────────────────────────────────────────────────────────────────────────────────
-- A reading speaks for the time before it: it is its customer's when the machine was installed before it and not yet removed. A rollup is
-- its customer's when all of its readings are. A machine is never in two places at one instant (installation_asset_excl), so no reading
-- is two customers'. Staff see readings of machines that stand nowhere too.
--
-- Never a UNION ALL at the top of such a view: PostgreSQL 18 flattens it and forgets the barrier.

create view telemetry_visible with (security_barrier = true) as
select t.*
from telemetry t
left join (point p join installation i using (asset_id))
    on p.point_id = t.point_id and t.ts > i.installed_at and t.ts <= coalesce(i.removed_at, 'infinity') and may_see(i.customer_id)
where i.installation_id is not null or caller_is_staff();

create view telemetry_1m_visible with (security_barrier = true) as
select t.*
from rollup_1m t
left join (point p join installation i using (asset_id))
    on p.point_id = t.point_id and t.bucket >= i.installed_at and t.last_ts <= coalesce(i.removed_at, 'infinity') and may_see(i.customer_id)
where i.installation_id is not null or caller_is_staff();

create view telemetry_1h_visible with (security_barrier = true) as
select t.*
from rollup_1h t
left join (point p join installation i using (asset_id))
    on p.point_id = t.point_id and t.bucket >= i.installed_at and t.last_ts <= coalesce(i.removed_at, 'infinity') and may_see(i.customer_id)
where i.installation_id is not null or caller_is_staff();

create view point_latest_visible with (security_barrier = true) as
select t.point_id, t.ts, t.value, t.quality
from point_latest t
left join (point p join installation i using (asset_id))
    on p.point_id = t.point_id and t.ts > i.installed_at and t.ts <= coalesce(i.removed_at, 'infinity') and may_see(i.customer_id)
where i.installation_id is not null or caller_is_staff();

-- Whom a caller may name: the own company's people, and the manufacturer's who work for it. No log-in, no hash.
create view person with (security_barrier = true) as
select account_id, customer_id, kind, name
from account
where caller_is_staff() or (caller_customer() is not null and coalesce(customer_id, caller_customer()) = caller_customer());

grant select on telemetry_visible, telemetry_1m_visible, telemetry_1h_visible, point_latest_visible, person to vigia_app, vigia_service;
grant select on rollup_1m, rollup_1h to vigia_service, vigia_reporter;
grant select on telemetry_1m, telemetry_1h, point_latest to vigia_reporter;
