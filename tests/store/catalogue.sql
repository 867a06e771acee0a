-- Everything that makes two databases differ, as text, one line a thing. Partitions and chunks are left out: they come with the data.
with ours as (select oid from pg_namespace where nspname in ('vigia', 'jobs', 'telemetry_day')),
tables as (select c.* from pg_class c where c.relnamespace in (select oid from ours) and c.relkind in ('r', 'p', 'v', 'm', 'S') and not c.relispartition)
select 'relation ' || oid::regclass || ' ' || relkind::text || ' owner ' || relowner::regrole || ' rls ' || relrowsecurity || ' forced ' || relforcerowsecurity
       || ' options ' || coalesce(reloptions::text, '') || ' acl ' || coalesce((select string_agg(a::text, ',' order by a::text) from unnest(relacl) as a), '')
from tables
union all
select 'column ' || t.oid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || ' not null ' || attnotnull || ' identity ' || attidentity::text
       || ' default ' || coalesce(pg_get_expr(adbin, adrelid), '') || ' acl ' || coalesce(attacl::text, '')
from pg_attribute join tables t on t.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
where attnum > 0 and not attisdropped
union all
select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where conrelid in (select oid from tables)
union all
select 'index ' || pg_get_indexdef(indexrelid) from pg_index where indrelid in (select oid from tables)
union all
select 'view ' || oid::regclass || ' ' || pg_get_viewdef(oid) from tables where relkind in ('v', 'm')
union all
select 'trigger ' || pg_get_triggerdef(oid) from pg_trigger where tgrelid in (select oid from tables) and not tgisinternal
union all
select 'policy ' || polrelid::regclass || ' ' || polname || ' ' || polcmd::text || ' ' || (select string_agg(r::regrole::text, ',' order by r::regrole::text) from unnest(polroles) r)
       || ' using ' || coalesce(pg_get_expr(polqual, polrelid), '') || ' check ' || coalesce(pg_get_expr(polwithcheck, polrelid), '')
from pg_policy
union all
select 'function ' || p.oid::regprocedure || ' owner ' || proowner::regrole || ' ' || pg_get_functiondef(p.oid)
from pg_proc p where pronamespace in (select oid from ours) and prokind = 'f'
union all
select 'schema ' || nspname || ' owner ' || nspowner::regrole || ' acl ' || coalesce(nspacl::text, '') from pg_namespace where oid in (select oid from ours)
union all
select 'type ' || t.oid::regtype || ' ' || typtype::text from pg_type t where typnamespace in (select oid from ours) and typtype in ('e', 'd')
order by 1
