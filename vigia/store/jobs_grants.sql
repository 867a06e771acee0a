-- procrastinate's tables belong to the service. The app may defer a job in its own transaction and see no job, its own number excepted.
grant usage on schema jobs to vigia_service, vigia_app;
grant select, insert, update, delete on all tables in schema jobs to vigia_service;
grant usage on all sequences in schema jobs to vigia_service, vigia_app;
grant insert on jobs.procrastinate_jobs, jobs.procrastinate_events to vigia_app;
grant select (id) on jobs.procrastinate_jobs to vigia_app;
