-- name: contract_at
-- The customer's contract in force at a time; the newest, should two overlap.
select * from contract
where customer_id = %(customer_id)s and starts_at <= %(at)s and (ends_at is null or %(at)s < ends_at)
order by starts_at desc, contract_id desc
limit 1

-- name: contract
select * from contract where contract_id = %(contract_id)s

-- name: contracts_named
select * from contract where name = %(name)s order by contract_id

-- name: contracts_within
select * from contract
where starts_at < %(end)s and (ends_at is null or ends_at > %(start)s) and (%(customer_id)s::int is null or customer_id = %(customer_id)s)
order by contract_id

-- name: contract_roles
-- The roles each customer's contract covers: all it has.
select customer_id, role_id from role
where %(customer_id)s::int is null or customer_id = %(customer_id)s
order by role_id

-- name: add_contract
-- A contract of that name which the customer has stays as it is.
insert into contract (customer_id, name, tier, starts_at, ends_at, currency, rate_per_hour, guaranteed_availability, credit_per_point,
                      credit_cap, predictive_lead, corrective_lead, visit_duration)
select %(customer_id)s, %(name)s::text, %(tier)s, %(starts_at)s, %(ends_at)s, %(currency)s, %(rate_per_hour)s, %(guaranteed_availability)s,
       %(credit_per_point)s, %(credit_cap)s, %(predictive_lead)s, %(corrective_lead)s, %(visit_duration)s
where not exists (select from contract where customer_id = %(customer_id)s and name = %(name)s)

-- name: contract_costs
select m.code as asset_model, k.failure, k.visit, k.lost_life, m.life_unit
from contract_cost k join asset_model m using (asset_model_id)
where k.contract_id = %(contract_id)s
order by m.code

-- name: contract_costs_set
insert into contract_cost (customer_id, contract_id, asset_model_id, failure, visit, lost_life)
select c.customer_id, c.contract_id, m.asset_model_id, %(failure)s, %(visit)s, %(lost_life)s
from contract c cross join asset_model m
where c.contract_id = %(contract_id)s and m.code = %(asset_model)s
on conflict (contract_id, asset_model_id) do update set failure = excluded.failure, visit = excluded.visit, lost_life = excluded.lost_life

-- name: contract_costs_withdraw
delete from contract_cost
where contract_id = %(contract_id)s and asset_model_id = (select asset_model_id from asset_model where code = %(asset_model)s)

-- name: contract_terms
-- Of each machine that stands somewhere under a contract that states costs for its model: those costs, the lead, and how much life it used of
-- late, by the last 30 predictions since its installation, of which there is one a life unit.
select i.customer_id, i.role_id, i.asset_id, c.contract_id, c.predictive_lead as lead, m.code as asset_model, m.life_unit, k.failure::float8,
       k.visit::float8, k.lost_life::float8, used.units, used.span
from installation i
join role r on r.customer_id = i.customer_id and r.role_id = i.role_id
join asset_model m on m.asset_model_id = r.asset_model_id
cross join lateral (
    select contract_id, predictive_lead from contract
    where customer_id = i.customer_id and starts_at <= %(at)s and (ends_at is null or %(at)s < ends_at)
    order by starts_at desc, contract_id desc
    limit 1
) as c
join contract_cost k on k.contract_id = c.contract_id and k.asset_model_id = m.asset_model_id
cross join lateral (
    select greatest(count(*) - 1, 0)::int as units, coalesce(max(at) - min(at), '0') as span
    from (
        select p.at from prediction p
        where p.asset_id = i.asset_id and p.failure_mode = %(failure_mode)s and p.at > i.installed_at
        order by p.at desc limit 30
    ) as newest
) as used
where i.removed_at is null and (%(asset_ids)s::int[] is null or i.asset_id = any(%(asset_ids)s))
  and (%(contract_id)s::int is null
       or c.contract_id = %(contract_id)s and i.customer_id = (select customer_id from contract where contract_id = %(contract_id)s))
order by i.role_id
