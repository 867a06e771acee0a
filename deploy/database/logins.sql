-- One login for each process, with the rights of one role; run by the database image when it makes its volume, and again by hand
-- to set new passwords (deploy/README.md). The passwords come from the container's environment.
--
-- A process says which role it acts in, and can only say one that is granted here; until then its login has no rights.

\set ON_ERROR_STOP on
set client_min_messages = warning;
\getenv migrate_password MIGRATE_PASSWORD
\getenv ingest_password INGEST_PASSWORD
\getenv analytics_password ANALYTICS_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv api_password API_PASSWORD
\getenv gate_password GATE_PASSWORD

-- vigia_service may log in, without a password and so not from outside: TimescaleDB compresses in the background as the owner of
-- telemetry.
select format('create role %I %s', name, case name when 'vigia_service' then 'login' else 'nologin' end)
from unnest(array['vigia_owner', 'vigia_service', 'vigia_app', 'vigia_reporter']) as name
where to_regrole(name) is null
\gexec

select format('create role %I', name)
from unnest(array['migrate', 'ingest', 'analytics', 'worker', 'api', 'gate']) as name
where to_regrole(name) is null
\gexec

alter role migrate login password :'migrate_password';
alter role ingest login password :'ingest_password';
alter role analytics login password :'analytics_password';
alter role worker login password :'worker_password';
alter role api login password :'api_password';
alter role gate login password :'gate_password';

grant vigia_owner to migrate with set true, inherit true;
grant vigia_service, vigia_app, vigia_reporter to migrate with set true, inherit false;
grant vigia_service to ingest, analytics, worker, gate with set true, inherit false;
grant vigia_app to api with set true, inherit false;

-- `migrate` makes the schemas and asks whether TimescaleDB is loaded; what needs a superuser (the extension) the image has done.
grant pg_read_all_settings to migrate;
select format('alter database %I owner to migrate', current_database())
\gexec
select format('revoke connect, temporary on database %I from public', current_database())
\gexec
select format('grant connect on database %I to migrate, ingest, analytics, worker, api, gate', current_database())
\gexec
