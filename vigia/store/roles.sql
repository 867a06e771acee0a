-- The four roles, for the whole server; made when missing, never changed. They have no password: a process connects as a user who
-- is a member and takes its role. vigia_service may log in because TimescaleDB compresses in the background as the owner of telemetry. Several databases of one server may be migrated at the same time, hence the caught exceptions.

do $$
declare
    name text;
begin
    foreach name in array array['vigia_owner', 'vigia_service', 'vigia_app', 'vigia_reporter'] loop
        begin
            if to_regrole(name) is null then
                execute format('create role %I %s nosuperuser nobypassrls nocreatedb nocreaterole', name, case name when 'vigia_service' then 'login' else 'nologin' end);
            end if;
        exception when duplicate_object or unique_violation then null;
        end;
        if not pg_has_role(current_user, name, 'set') then
            execute format('grant %I to current_user with set true, inherit false', name);
        end if;
    end loop;
end $$;

do $$
declare
    name text;
begin
    select rolname into name from pg_roles where rolname in ('vigia_owner', 'vigia_service', 'vigia_app', 'vigia_reporter') and (rolsuper or rolbypassrls) limit 1;
    if found then
        raise exception 'the role % is a superuser or bypasses row-level security: customers would see each other', name
            using hint = format('alter role %I nosuperuser nobypassrls', name);
    end if;
end $$;
