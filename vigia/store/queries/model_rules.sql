-- name: model_rules_add
insert into model_rule (model_version_id, probability, consecutive, clear_probability, machines, ordered, at_order)
values (%(model_version_id)s, %(probability)s, %(consecutive)s, %(clear_probability)s, %(machines)s, %(ordered)s, %(at_order)s)

-- name: model_rules
select model_rule_id, probability, consecutive, clear_probability, machines, ordered, at_order
from model_rule where model_version_id = %(model_version_id)s
order by model_rule_id

-- name: model_rule
select probability, consecutive, clear_probability from model_rule where model_rule_id = %(model_rule_id)s
