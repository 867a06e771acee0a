-- One login for each process, with the rights of one role; run by the database image when it makes its volume, and again by hand
-- to set new passwords (deploy/README.md). The passwords come from the container's environment.
--
-- A login inherits nothing: a process says which role it acts in, and can only say one that is granted here.

\set ON_ERROR_STOP on
\getenv migrate_password MIGRATE_PASSWORD
\getenv ingest_password INGEST_PASSWORD
\getenv analytics_password ANALYTICS_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv api_password API_PASSWORD

select format('create role %I nologin', name)
from unnest(array['vigia_owner', 'vigia_service', 'vigia_app', 'vigia_reporter']) as name
where to_regrole(name) is null
\gexec

select format('create role %I', name)
from unnest(array['migrate', 'ingest', 'analytics', 'worker', 'api']) as name
where to_regrole(name) is null
\gexec

alter role migrate login password :'migrate_password';
alter role ingest login password :'ingest_password';
alter role analytics login password :'analytics_password';
alter role worker login password :'worker_password';
alter role api login password :'api_password';

grant vigia_owner, vigia_service, vigia_app, vigia_reporter to migrate with set true, inherit false;
grant vigia_service to ingest, analytics, worker with set true, inherit false;
grant vigia_app to api with set true, inherit false;

-- What needs a superuser is done here, so that `migrate` is none.
create extension if not exists btree_gist;
select format('grant create on database %I to vigia_owner', current_database())
\gexec
select format('revoke connect, temporary on database %I from public', current_database())
\gexec
select format('grant connect on database %I to migrate, ingest, analytics, worker, api', current_database())
\gexec
