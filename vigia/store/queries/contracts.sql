-- name: contract_at
-- The customer's contract in force at a time; the newest, should two overlap.
select * from contract
where customer_id = %(customer_id)s and starts_at <= %(at)s and (ends_at is null or %(at)s < ends_at)
order by starts_at desc, contract_id desc
limit 1

-- name: contract
select * from contract where contract_id = %(contract_id)s

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
