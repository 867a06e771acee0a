-- The database of a new install: roles.sql, profile_plain.sql or profile_timescale.sql (telemetry), this file, policies.sql (who may see
-- and write what). Migrations bring an old one here; a test proves both give the same.
--
-- Exclusion constraints compare a number as a range of one: the extension that would compare it directly is not everywhere.

-- ── who is asking ────────────────────────────────────────────────────────────────────────────────────────────────────

create function caller_customer() returns int language sql stable parallel safe as
$$ select nullif(current_setting('vigia.customer_id', true), '')::int $$;

create function caller_is_staff() returns boolean language sql stable parallel safe as
$$ select coalesce(nullif(current_setting('vigia.staff', true), ''), 'off') = 'on' $$;

create function caller_account() returns int language sql stable parallel safe as
$$ select nullif(current_setting('vigia.account_id', true), '')::int $$;

create function may_see(owner_customer_id int) returns boolean language sql stable parallel safe as
$$ select caller_is_staff() or coalesce(owner_customer_id = caller_customer(), false) $$;

-- ── customers and their equipment (ISA-95) ───────────────────────────────────────────────────────────────────────────

create table customer (
    customer_id int generated always as identity primary key,
    code        text not null unique check (code ~ '^[a-z0-9][a-z0-9-]*$'),
    name        text not null,
    created_at  timestamptz not null default now()
);

create table site (
    site_id     int generated always as identity primary key,
    customer_id int not null references customer,
    code        text not null,
    name        text not null,
    time_zone   text not null,
    unique (customer_id, site_id),
    unique (customer_id, code)
);

create table area (
    area_id     int generated always as identity primary key,
    customer_id int not null,
    site_id     int not null,
    name        text not null,
    unique (customer_id, area_id),
    unique (customer_id, site_id, name),
    foreign key (customer_id, site_id) references site (customer_id, site_id)
);

create table line (
    line_id     int generated always as identity primary key,
    customer_id int not null,
    area_id     int not null,
    name        text not null,
    unique (customer_id, line_id),
    unique (customer_id, area_id, name),
    foreign key (customer_id, area_id) references area (customer_id, area_id)
);

create table asset_model (
    asset_model_id int generated always as identity primary key,
    code           text not null unique,
    name           text not null,
    life_unit      text not null default 'h'          -- what remaining life is counted in, UCUM ('h', '{cycle}')
);

-- A gateway at a site; its Sparkplug identity is unique in the whole infrastructure.
create table edge_node (
    edge_node_id    int generated always as identity primary key,
    customer_id     int not null,
    site_id         int not null,
    group_id        text not null check (group_id !~ '[+/#]' and group_id <> ''),
    node_id         text not null check (node_id !~ '[+/#]' and node_id <> ''),
    online          boolean not null default false,
    bd_seq          bigint,
    born_at         timestamptz,                      -- wall clock of the last NBIRTH
    died_at         timestamptz,
    last_reading_at timestamptz,                      -- newest source time committed: the fleet's own clock in a replay
    last_commit_at  timestamptz,                      -- wall clock of that commit
    epoch           bigint,                           -- newest batch number the edge has announced (its heartbeat)
    newest_eseq     bigint,
    agent_version   text,                             -- of the gateway's program, as its last birth said
    configuration_sha256 text,                        -- of the configuration it runs, likewise
    clock_skew_ms   bigint,                           -- how far its clock is ahead of ours, when it last spoke of the time
    checked_in_at   timestamptz,                      -- an enrolled gateway's last check-in
    configuration_version int,                        -- what it then said to run; null: its own file
    unique (customer_id, edge_node_id),
    foreign key (customer_id, site_id) references site (customer_id, site_id)
) with (fillfactor = 45, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 1);  -- each commit of its readings touches it
create unique index edge_node_key on edge_node (lower(group_id), lower(node_id));

-- The place (functional location). The machine standing in it is an installation.
create table role (
    role_id        int generated always as identity primary key,
    customer_id    int not null,
    line_id        int not null,
    asset_model_id int not null references asset_model,
    name           text not null,
    edge_node_id   int,
    device_id      text check (device_id !~ '[+/#]' and device_id <> ''),
    unique (customer_id, role_id),
    unique (customer_id, line_id, name),
    unique (edge_node_id, device_id),
    foreign key (customer_id, line_id) references line (customer_id, line_id),
    foreign key (customer_id, edge_node_id) references edge_node (customer_id, edge_node_id)
);
create index role_line_idx on role (line_id);

-- The machine (serial number). It belongs to no customer: who may see it follows from where it is, or was, installed.
create table asset (
    asset_id       int generated always as identity primary key,
    asset_model_id int not null references asset_model,
    serial_number  text not null,
    condition      text not null default 'serviceable' check (condition in ('serviceable', 'unserviceable')),
    created_at     timestamptz not null default now(),
    unique (asset_model_id, serial_number)
);

create table installation (
    installation_id int generated always as identity primary key,
    customer_id     int not null,
    role_id         int not null,
    asset_id        int not null references asset,
    installed_at    timestamptz not null,
    removed_at      timestamptz,
    check (removed_at > installed_at),
    foreign key (customer_id, role_id) references role (customer_id, role_id),
    -- One machine a role: the next may come the moment the last one left.
    constraint installation_role_excl exclude using gist (int4range(role_id, role_id, '[]') with &&, tstzrange(installed_at, removed_at) with &&),
    -- One role a machine, both ends included: it cannot leave one place and stand in another at the same instant. So every reading belongs
    -- to one installation at most, and to one customer.
    constraint installation_asset_excl exclude using gist (int4range(asset_id, asset_id, '[]') with &&, tstzrange(installed_at, removed_at, '[]') with &&)
);
create index installation_role_idx on installation (role_id, installed_at);
create index installation_asset_idx on installation (asset_id, installed_at);
create index installation_customer_idx on installation (customer_id);

create table point (
    point_id    int generated always as identity primary key,
    asset_id    int not null references asset,
    name        text not null,
    kind        text not null default 'measurement' check (kind in ('measurement', 'setting', 'state', 'counter')),
    unit        text not null default '1',            -- UCUM
    description text not null default '',
    low         float8,                               -- engineering range; readings outside are kept
    high        float8,
    unique (asset_id, name)
);

-- ── telemetry: the readings themselves, telemetry (point_id, ts, value, quality), are in profile_plain.sql / profile_timescale.sql ──
-- The rollups are filled by ingest in the transaction that stores the readings: one way for both profiles, and a late reading counts.
--
-- Of each point the minute that holds its latest reading stands open beside that reading, in point_latest: a commit touches one narrow row
-- a point, not three. When a reading of a later minute comes the open one is added to telemetry_1m and telemetry_1h, which hold closed
-- minutes only; readings of closed minutes are added to both at once. So a minute is in point_latest or in the rollups, never in both, and
-- the views rollup_1m and rollup_1h, which join them, are true at every moment.
--
-- Half of each page of the hot tables is left free: a new version of a row fits beside the old one and no index is touched.

create table telemetry_1m (
    point_id  int not null,
    bucket    timestamptz not null,
    count     bigint not null,                        -- good readings
    sum       float8 not null,
    min       float8,
    max       float8,
    last_ts   timestamptz not null,
    last      float8,
    good_mask bigint not null,                        -- bit s: second s of the minute has a good reading
    primary key (point_id, bucket)
);

create table telemetry_1h (
    point_id     int not null,
    bucket       timestamptz not null,
    count        bigint not null,
    sum          float8 not null,
    min          float8,
    max          float8,
    last_ts      timestamptz not null,
    last         float8,
    good_seconds int not null,
    primary key (point_id, bucket)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

create table point_latest (
    point_id  int primary key,
    ts        timestamptz not null,
    value     float8,
    quality   smallint not null,
    minute    timestamptz,                            -- the open minute, that of ts; null when none is open
    count     bigint not null default 0,              -- of the open minute, like telemetry_1m; its last is the latest reading
    sum       float8 not null default 0,
    min       float8,
    max       float8,
    good_mask bigint not null default 0
) with (fillfactor = 45, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 1);

create view rollup_1m as
select point_id, bucket, count, sum, min, max, last_ts, last, good_mask
from telemetry_1m
union all
select point_id, minute, count, sum, min, max, ts, value, good_mask
from point_latest
where minute is not null;

create view rollup_1h as
select h.point_id, h.bucket, h.count + coalesce(l.count, 0) as count, h.sum + coalesce(l.sum, 0) as sum, least(h.min, l.min) as min,
       greatest(h.max, l.max) as max, greatest(h.last_ts, l.ts) as last_ts,
       case when l.ts is null or l.ts < h.last_ts or (l.ts = h.last_ts and h.last >= coalesce(l.value, '-infinity')) then h.last else l.value end as last,
       h.good_seconds + coalesce(bit_count(l.good_mask::bit(64)), 0)::int as good_seconds
from telemetry_1h h
left join point_latest l on l.point_id = h.point_id and date_bin('1 hour', l.minute, '2000-01-01 00:00Z') = h.bucket
union all
select l.point_id, date_bin('1 hour', l.minute, '2000-01-01 00:00Z'), l.count, l.sum, l.min, l.max, l.ts, l.value,
       bit_count(l.good_mask::bit(64))::int
from point_latest l
where l.minute is not null
  and not exists (select from telemetry_1h h where h.point_id = l.point_id and h.bucket = date_bin('1 hour', l.minute, '2000-01-01 00:00Z'));

create function numbers_in(eseqs int8multirange) returns bigint language sql immutable strict parallel safe as
$$ select coalesce(sum(upper(piece) - lower(piece)), 0)::bigint from unnest(eseqs) as piece $$;

-- Which of an edge's numbered batches are accounted for: one row an epoch, which its writers change in turn. A set cannot hold a number
-- twice, but it could swallow one that is written twice: ledger_counted_once refuses that, because then more was counted than is in the
-- set. An epoch without holes is one piece, whose size is known without taking it apart.
create table ledger (
    edge_node_id int not null references edge_node,
    epoch        bigint not null,
    eseqs        int8multirange not null check (not isempty(eseqs)),
    committed    bigint not null check (committed >= 0),           -- numbers whose readings are stored
    buried       bigint not null default 0 check (buried >= 0),    -- numbers that a tombstone alone explains
    rows         bigint not null,
    committed_at timestamptz not null default now(),
    primary key (edge_node_id, epoch),
    constraint ledger_counted_once check (
        committed + buried = case when eseqs = int8multirange(range_merge(eseqs)) then upper(eseqs) - lower(eseqs) else numbers_in(eseqs) end)
) with (fillfactor = 45, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 1);

-- What the edge dropped on purpose, with its reason: a hole that is explained.
create table tombstone (
    edge_node_id int not null references edge_node,
    epoch        bigint not null,
    eseqs        int8range not null check (not isempty(eseqs)),
    reason       text not null,
    recorded_at  timestamptz not null default now(),
    unique (edge_node_id, epoch, eseqs)
);

create function account_for_tombstone() returns trigger language plpgsql as
$$
begin
    insert into ledger as known (edge_node_id, epoch, eseqs, committed, buried, rows)
    values (new.edge_node_id, new.epoch, int8multirange(new.eseqs), 0, upper(new.eseqs) - lower(new.eseqs), 0)
    on conflict (edge_node_id, epoch) do update set
        eseqs = known.eseqs + excluded.eseqs, buried = known.buried + numbers_in(excluded.eseqs - known.eseqs);
    return null;
end $$;

create trigger tombstone_accounted after insert on tombstone for each row execute function account_for_tombstone();

-- The newest number announced in epochs gone by: a tail lost in one is not forgotten when the next begins.
create table edge_epoch (
    edge_node_id int not null references edge_node,
    epoch        bigint not null,
    newest_eseq  bigint not null,
    primary key (edge_node_id, epoch)
);

create function keep_announced_epoch() returns trigger language plpgsql as
$$
begin
    insert into edge_epoch as known (edge_node_id, epoch, newest_eseq) values (old.edge_node_id, old.epoch, old.newest_eseq)
    on conflict (edge_node_id, epoch) do update set newest_eseq = greatest(known.newest_eseq, excluded.newest_eseq);
    return null;
end $$;

create trigger edge_node_epoch_kept after update of epoch, newest_eseq on edge_node
for each row when (old.epoch is not null and old.newest_eseq is not null and (new.epoch is distinct from old.epoch or new.newest_eseq < old.newest_eseq))
execute function keep_announced_epoch();

-- Per edge and epoch: every number seen or announced, less those accounted for. Must be empty.
create view ledger_hole with (security_invoker = true) as
with announced as (
    select edge_node_id, epoch, max(newest_eseq) as newest_eseq
    from (select edge_node_id, epoch, newest_eseq from edge_node where epoch is not null and newest_eseq is not null
          union all select edge_node_id, epoch, newest_eseq from edge_epoch) as known
    group by edge_node_id, epoch
), expected as (
    select edge_node_id, epoch, coalesce(eseqs, '{}') as eseqs,
           int8multirange(int8range(1, greatest(upper(eseqs), newest_eseq + 1, 1))) as numbers
    from ledger full join announced using (edge_node_id, epoch)
)
select edge_node_id, epoch, hole
from expected, unnest(numbers - eseqs) as hole;

-- The last birth of each node and device, so that any worker decodes any edge.
create table birth (
    edge_node_id int not null references edge_node,
    device_id    text not null default '',            -- '' is the node itself
    bd_seq       bigint not null,
    born_at      timestamptz not null,
    asset_id     int references asset,
    metrics      jsonb not null,                      -- [{"name", "alias", "datatype", "point_id"}]
    writable     jsonb not null default '[]',         -- what the device can be told, as domain.commands.Writable
    alive        boolean not null default true,
    died_at      timestamptz,                         -- null while alive: a node by our clock, a device as its death said
    primary key (edge_node_id, device_id)
);

create table dead_letter (
    dead_letter_id bigint generated always as identity primary key,
    received_at    timestamptz not null default now(),
    topic          text not null,
    reason         text not null,
    detail         text not null default '',
    payload        bytea not null,                    -- whole up to the largest message that is accepted, else its beginning
    size           int not null                       -- bytes of the whole payload
);
create index dead_letter_received_idx on dead_letter (received_at);

-- Detector state as of the last committed batch of an edge: a finding is as durable as its data.
create table detector_snapshot (
    edge_node_id int primary key references edge_node,
    point_ids    int[] not null,
    state        bytea not null,                      -- a record of analytics.detectors.STATE for each of point_ids
    updated_at   timestamptz not null default now()
) with (fillfactor = 45, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 1);
alter table detector_snapshot alter column state set storage external;  -- nothing to gain by compressing it at every commit

-- What is healthy of a machine's channels together, learned from its own readings of a usual day.
create table baseline (
    asset_id   int primary key references asset,
    since      timestamptz not null,                  -- readings after that taught it: after the installation, or the end of the last case
    until      timestamptz not null,                  -- up to and with this
    point_ids  int[] not null,                        -- its channels, and behind them its settings
    body       bytea not null,                        -- analytics.detectors.together.Baseline, as it keeps itself
    learned_at timestamptz not null default clock_timestamp()
);
alter table baseline alter column body set storage external;  -- compressed already

-- ── what is known ────────────────────────────────────────────────────────────────────────────────────────────────────

create table finding (
    finding_id  bigint generated always as identity primary key,
    customer_id int not null references customer,
    asset_id    int not null references asset,
    point_id    int not null references point,
    detector    text not null,
    at          timestamptz not null,                 -- source time of the reading
    score       float8 not null,                      -- in multiples of the detector's threshold
    why         jsonb not null,
    second_opinion jsonb,                             -- how like the healthy past, once the worker looked closer
    over_at     timestamptz                           -- source time of the reading it was over with
);
create index finding_asset_idx on finding (asset_id, at desc);
create index finding_customer_idx on finding (customer_id, at desc);

create table model_version (
    model_version_id int generated always as identity primary key,
    asset_model_id   int not null references asset_model,
    failure_mode     text not null,
    version          text not null,                   -- name of the file in <home>/models
    sha256           text not null,
    metrics          jsonb not null,
    inputs           jsonb,                           -- how its inputs were spread where it learned: {"life_edges", "inputs"}
    champion         boolean not null default false,  -- the one whose predictions act
    shadow           boolean not null default false,  -- predicts beside it, and nothing follows
    data_sha256      text,                            -- of what it learned from
    code_version     text,                            -- of the program that trained it
    approved_by      int,                             -- the account that put it in charge; null: nobody in person
    approved_at      timestamptz,
    replaced_id      int references model_version,    -- the one in charge before it, to which a roll-back returns
    withdrawn_at     timestamptz,                     -- when it was rolled back
    created_at       timestamptz not null default now(),
    unique (asset_model_id, failure_mode, version),
    check (not (champion and shadow))
);
create unique index model_champion_key on model_version (asset_model_id, failure_mode) where champion;
create unique index model_shadow_key on model_version (asset_model_id, failure_mode) where shadow;

-- What each rule for raising orders would have done to machines that the model had not seen: by this, and what a contract says things
-- cost, the rule of a machine is chosen without the model's file.
create table model_rule (
    model_rule_id     int generated always as identity primary key,
    model_version_id  int not null references model_version,
    probability       float8 not null check (probability between 0 and 1),
    consecutive       int not null check (consecutive > 0),
    clear_probability float8 not null check (clear_probability between 0 and probability),
    machines          int not null check (machines > 0),
    ordered           int not null check (ordered between 0 and machines),  -- those for which an order would have been raised
    at_order          float8[] not null,              -- life left at the order, ascending: of each, or quantiles
    unique (model_version_id, probability, consecutive)
);

create table prediction (
    prediction_id    bigint generated always as identity primary key,
    customer_id      int not null references customer,
    role_id          int not null,
    asset_id         int not null references asset,
    failure_mode     text not null,
    at               timestamptz not null,            -- source time of the newest reading used
    horizon          float8 not null,                 -- in asset_model.life_unit
    probability      float8 not null check (probability between 0 and 1),
    probabilities    jsonb not null default '[]',     -- [{"horizon", "probability"}] of several horizons, this one among them, shortest first
    life_p10         float8 not null,                 -- remaining life, in asset_model.life_unit
    life_p50         float8 not null,
    life_p90         float8 not null,
    health           float8 not null check (health between 0 and 100),
    contributions    jsonb not null,                  -- [{"point", "share", "lost", "value", "healthy", "unit"}], largest first
    similar_cases    jsonb not null default '[]',     -- [{"run", "work_order_id", "lived_on", "ended", "distance"}], nearest first
    model_version_id int not null references model_version,
    unique (asset_id, failure_mode, at),
    unique (customer_id, prediction_id),
    foreign key (customer_id, role_id) references role (customer_id, role_id)
);
create index prediction_role_idx on prediction (role_id, at desc);

-- Whether a model in charge still fits, a row a day of the fleet's time.
create table model_drift (
    model_version_id int not null references model_version,
    day              date not null,
    machines         int not null,                    -- that it predicted in the days before
    inputs           jsonb not null,                  -- {input: {"psi", "psi_at_like_wear", "readings"}}
    resolved         jsonb not null,                  -- {"machines", "told", "brier", "lives", "held"}: what became of its predictions
    warnings         text[] not null,                 -- 'inputs', 'brier', 'interval': what is beyond its limit
    primary key (model_version_id, day)
);

-- Trainings that the schedule began; one at a time of each asset model and failure mode.
create table model_training (
    model_training_id int generated always as identity primary key,
    asset_model_id    int not null references asset_model,
    failure_mode      text not null,
    began_at          timestamptz not null,           -- fleet time
    claimed_at        timestamptz not null default now(),
    ended_at          timestamptz,
    reason            text not null check (reason in ('schedule', 'drift')),
    orders            int not null,                   -- closed orders there were then
    model_version_id  int references model_version,
    said              text not null default ''        -- why no model went into the shadow
);
create unique index model_training_open_key on model_training (asset_model_id, failure_mode) where ended_at is null;

-- What a model said in the shadow of the one in charge.
create table shadow_prediction (
    customer_id      int not null references customer,
    asset_id         int not null references asset,
    model_version_id int not null references model_version,
    at               timestamptz not null,
    probability      float8 not null check (probability between 0 and 1),
    life_p10         float8 not null,
    life_p50         float8 not null,
    life_p90         float8 not null,
    primary key (model_version_id, asset_id, at)
);

-- ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────────

create table account (
    account_id    int generated always as identity primary key,
    customer_id   int references customer,            -- null: staff of the manufacturer
    kind          text not null check (kind in ('customer', 'technician', 'service_manager')),
    login         text not null unique check (login = lower(login)),
    name          text not null,
    password_hash text not null,                      -- argon2id
    language      text not null default 'en' check (language in ('en', 'es', 'pt')),
    preferences   jsonb not null default '{}',
    disabled_at   timestamptz,
    check ((kind = 'customer') = (customer_id is not null))
);
alter table model_version add foreign key (approved_by) references account;

create table login_session (
    token_sha256 bytea primary key,
    account_id   int not null references account on delete cascade,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz not null,
    csrf_token   text not null
);
create index login_session_account_idx on login_session (account_id);

-- ── predict and fix ──────────────────────────────────────────────────────────────────────────────────────────────────

create table failure_case (
    failure_case_id int generated always as identity primary key,
    customer_id     int not null,
    role_id         int not null,
    asset_id        int not null references asset,
    failure_mode    text not null,
    opened_at       timestamptz not null,
    closed_at       timestamptz,
    failed_at       timestamptz,                      -- the machine did fail
    prediction_id   bigint,
    model_rule_id   int references model_rule,        -- the rule that opened it, chosen by the contract's costs; null: the model's own
    unique (customer_id, failure_case_id),
    foreign key (customer_id, role_id) references role (customer_id, role_id),
    foreign key (customer_id, prediction_id) references prediction (customer_id, prediction_id)
);
create unique index failure_case_open_key on failure_case (asset_id, failure_mode) where closed_at is null;
create index failure_case_role_idx on failure_case (role_id, opened_at desc);

-- ISA-18.2. One open alarm per asset and condition; each step is an alarm_event.
create table alarm (
    alarm_id        int generated always as identity primary key,
    customer_id     int not null,
    role_id         int not null,
    asset_id        int not null references asset,
    condition       text not null,                    -- 'failure_predicted:hpc_degradation', 'drift:T50', 'failed'
    failure_case_id int,
    state           text not null check (state in ('unacknowledged', 'acknowledged', 'returned_unacknowledged', 'normal',
                                                   'shelved', 'suppressed', 'out_of_service')),
    priority        text not null check (priority in ('critical', 'high', 'medium', 'low')),
    raised_at       timestamptz not null,
    acknowledged_at timestamptz,
    acknowledged_by int references account,
    confirmed_at    timestamptz,                      -- the corrective action is taken
    confirmed_by    int references account,
    cleared_at      timestamptz,                      -- the condition no longer holds
    shelved_until   timestamptz,
    shelved_once    boolean not null default false,   -- the shelving ends with the condition
    reason          jsonb not null,
    unique (customer_id, alarm_id),
    foreign key (customer_id, role_id) references role (customer_id, role_id),
    foreign key (customer_id, failure_case_id) references failure_case (customer_id, failure_case_id)
);
create unique index alarm_open_key on alarm (asset_id, condition) where state <> 'normal';
create index alarm_customer_idx on alarm (customer_id, raised_at desc);
create index alarm_role_idx on alarm (role_id, raised_at desc);
create index alarm_case_idx on alarm (failure_case_id);

create table alarm_event (
    alarm_event_id bigint generated always as identity primary key,
    customer_id    int not null,
    alarm_id       int not null,
    at             timestamptz not null,
    state          text not null,
    account_id     int references account,
    foreign key (customer_id, alarm_id) references alarm (customer_id, alarm_id)
);
create index alarm_event_alarm_idx on alarm_event (alarm_id, at);

create table work_order (
    work_order_id   int generated always as identity primary key,
    customer_id     int not null,
    role_id         int not null,
    asset_id        int not null references asset,
    failure_case_id int not null,
    failure_mode    text not null,
    kind            text not null check (kind in ('predictive', 'corrective')),
    state           text not null check (state in ('draft', 'triaged', 'approved', 'scheduled', 'dispatched', 'accepted',
                                                   'travelling', 'in_progress', 'on_hold', 'work_done', 'verified', 'closed',
                                                   'cannot_complete', 'cancelled')),
    priority        text not null check (priority in ('critical', 'high', 'medium', 'low')),
    reason          jsonb not null,                   -- the prediction as it stood when the order was raised
    created_at      timestamptz not null,
    due_at          timestamptz not null,
    finished_at     timestamptz,
    verdict         text check (verdict in ('confirmed', 'early', 'wrong', 'inconclusive')),
    cause_code      text,                             -- ISO 14224 failure mechanism
    note            text not null default '',
    replaced_by     int references asset,             -- the serial number that took the role
    unique (customer_id, work_order_id),
    foreign key (customer_id, role_id) references role (customer_id, role_id),
    foreign key (customer_id, failure_case_id) references failure_case (customer_id, failure_case_id)
);
create unique index work_order_open_key on work_order (asset_id, failure_mode) where finished_at is null;
create index work_order_customer_idx on work_order (customer_id, created_at desc);
create index work_order_role_idx on work_order (role_id, created_at desc);
create index work_order_case_idx on work_order (failure_case_id);

create table work_order_event (
    work_order_event_id bigint generated always as identity primary key,
    customer_id         int not null,
    work_order_id       int not null,
    at                  timestamptz not null,
    state               text not null,
    account_id          int references account,
    foreign key (customer_id, work_order_id) references work_order (customer_id, work_order_id)
);
create index work_order_event_order_idx on work_order_event (work_order_id, at);

create table work_order_step (
    customer_id   int not null,
    work_order_id int not null,
    position      smallint not null,
    code          text not null,                      -- translated by the pages
    done_at       timestamptz,
    primary key (work_order_id, position),
    foreign key (customer_id, work_order_id) references work_order (customer_id, work_order_id)
);

create table visit (
    visit_id      int generated always as identity primary key,
    customer_id   int not null,
    work_order_id int not null,
    technician_id int not null references account,
    planned_from  timestamptz not null,
    planned_until timestamptz not null,
    started_at    timestamptz,
    finished_at   timestamptz,
    check (planned_until > planned_from),
    foreign key (customer_id, work_order_id) references work_order (customer_id, work_order_id)
);
create unique index visit_open_key on visit (work_order_id) where finished_at is null;
create index visit_order_idx on visit (work_order_id);
create index visit_technician_idx on visit (technician_id, planned_from);

-- ── the outcome ──────────────────────────────────────────────────────────────────────────────────────────────────────

-- One row a stretch in which a role was in one IEC 61400-26 category. Time without a row is unknown, never up.
create table state_interval (
    state_interval_id bigint generated always as identity primary key,
    customer_id       int not null,
    role_id           int not null,
    asset_id          int references asset,
    category          text not null check (category in ('up', 'derated', 'supplier_down', 'supplier_planned_excess', 'customer_idle',
                                                        'planned_agreed', 'external_utility', 'customer_caused', 'force_majeure')),
    started_at        timestamptz not null,
    ended_at          timestamptz,                    -- null: still so
    work_order_id     int,                            -- evidence
    check (ended_at >= started_at),
    foreign key (customer_id, role_id) references role (customer_id, role_id),
    foreign key (customer_id, work_order_id) references work_order (customer_id, work_order_id),
    constraint state_interval_excl exclude using gist (int4range(role_id, role_id, '[]') with &&, tstzrange(started_at, ended_at) with &&)
);
create index state_interval_role_idx on state_interval (role_id, started_at);

create table contract (
    contract_id             int generated always as identity primary key,
    customer_id             int not null references customer,
    name                    text not null,
    tier                    text not null,
    starts_at               timestamptz not null,
    ends_at                 timestamptz,
    currency                text not null,
    rate_per_hour           numeric(12, 2) not null check (rate_per_hour >= 0),
    guaranteed_availability numeric(5, 4) not null check (guaranteed_availability between 0 and 1),
    credit_per_point        numeric(5, 4) not null,   -- share of the fee credited per percentage point below the guarantee
    credit_cap              numeric(5, 4) not null,   -- largest share of the fee that can be credited
    predictive_lead         interval not null,        -- from order to visit, predicted failure
    corrective_lead         interval not null,        -- from failure to visit: spare shipped, crew found
    visit_duration          interval not null,
    unique (customer_id, contract_id)
);

-- What the manufacturer pays under a contract for machines of one model, in its currency: by this their orders are timed. It is not the
-- customer's to see. A contract without a row states no costs.
create table contract_cost (
    customer_id    int not null,
    contract_id    int not null,
    asset_model_id int not null references asset_model,
    failure        numeric(14, 2) not null check (failure >= 0 and failure < 'NaN'),      -- a failure that no visit forestalled
    visit          numeric(14, 2) not null check (visit >= 0 and visit < 'NaN'),          -- a planned visit with what it replaces
    lost_life      numeric(14, 2) not null check (lost_life >= 0 and lost_life < 'NaN'),  -- each life unit left when it is replaced
    primary key (contract_id, asset_model_id),
    foreign key (customer_id, contract_id) references contract (customer_id, contract_id)
);

create table audit_event (
    audit_event_id bigint generated always as identity primary key,
    customer_id    int references customer,
    account_id     int references account,
    at             timestamptz not null default now(),
    action         text not null,
    subject        text not null,
    detail         jsonb not null default '{}'
);
create index audit_event_customer_idx on audit_event (customer_id, at desc);

-- ── who may come in ──────────────────────────────────────────────────────────────────────────────────────────────────

-- Leave to enrol once as an edge node. Only the token's SHA-256 is kept: the table admits nobody.
create table edge_token (
    edge_token_id int generated always as identity primary key,
    customer_id   int not null,
    edge_node_id  int not null,
    token_sha256  bytea not null unique,
    created_at    timestamptz not null,
    created_by    int references account,             -- null: from the command line
    expires_at    timestamptz not null check (expires_at > created_at),
    used_at       timestamptz,
    foreign key (customer_id, edge_node_id) references edge_node (customer_id, edge_node_id)
);
create index edge_token_node_idx on edge_token (edge_node_id);

-- A gateway's certificate, from the request for it on. The key never leaves the gateway; the gate signs.
create table edge_certificate (
    edge_certificate_id int generated always as identity primary key,
    customer_id         int not null,
    edge_node_id        int not null,
    edge_token_id       int unique references edge_token,  -- what vouched for the request, a token
    renews              int unique references edge_certificate,  -- or the certificate before; each for one request only
    key_sha256          bytea not null unique,        -- of the public key: one certificate a key
    request             text not null,                -- PKCS #10, PEM
    requested_at        timestamptz not null,
    serial_number       text unique,                  -- hexadecimal; null until it is signed
    chain               text,                         -- PEM, the authority's certificate behind it
    valid_from          timestamptz,
    valid_until         timestamptz,
    revoked_at          timestamptz,
    revoked_because     text,
    shut_out_at         timestamptz,                  -- when the broker was seen to refuse it and to have dropped its sessions
    warned_days         smallint,                     -- the nearest warning given of its end
    check (num_nonnulls(edge_token_id, renews) = 1),
    check (num_nulls(serial_number, chain, valid_from, valid_until) in (0, 4)),
    check ((revoked_at is null) = (revoked_because is null)),
    foreign key (customer_id, edge_node_id) references edge_node (customer_id, edge_node_id)
);
create index edge_certificate_node_idx on edge_certificate (edge_node_id);

-- New configurations for some gateways: a share tries first, and the first that fails stops the rest.
create table rollout (
    rollout_id   int generated always as identity primary key,
    reason       text not null,
    canary_share float8 not null check (canary_share > 0 and canary_share <= 1),
    stage        text not null default 'canary' check (stage in ('canary', 'rest', 'done', 'halted')),
    created_at   timestamptz not null,
    created_by   int references account,              -- null: from the command line
    ended_at     timestamptz,
    check ((stage in ('done', 'halted')) = (ended_at is not null))
);

-- The versions of a gateway's configuration. One that was tried and failed is never offered again: going back is a new version.
create table edge_configuration (
    edge_configuration_id int generated always as identity primary key,
    customer_id           int not null,
    edge_node_id          int not null,
    version               int not null check (version > 0),
    rollout_id            int not null references rollout,
    canary                boolean not null,           -- tries it before the others
    toml                  text not null,
    sha256                text not null,              -- of toml, hexadecimal
    signature             bytea,                      -- the authority's, for this gateway and version; null until the gate has signed
    state                 text not null default 'waiting' check (state in ('waiting', 'released', 'applied', 'failed', 'withdrawn')),
    changed_at            timestamptz not null,
    detail                text not null default '',   -- why it failed
    unique (edge_node_id, version),
    unique (rollout_id, edge_node_id),
    foreign key (customer_id, edge_node_id) references edge_node (customer_id, edge_node_id)
);

-- ── remote remedy ────────────────────────────────────────────────────────────────────────────────────────────────────

-- What a machine is told from afar, and what became of it.
create table command (
    command_id   int generated always as identity primary key,
    customer_id  int not null,
    role_id      int not null,
    asset_id     int not null references asset,
    edge_node_id int not null,
    device_id    text not null,                       -- as in the birth
    uid          uuid not null unique,                -- its id on the wire: never used again, not even after a restore
    metric       text not null,
    datatype     smallint not null,                   -- Sparkplug's number
    unit         text not null,                       -- UCUM
    value        jsonb not null,                      -- a boolean, a number or a text
    critical     boolean not null,                    -- two people must approve it
    reason       text not null,
    state        text not null default 'requested' check (state in ('requested', 'approved', 'sent', 'done', 'refused', 'failed', 'expired',
                                                                    'withdrawn')),
    requested_at timestamptz not null,
    requested_by int not null references account,
    expires_at   timestamptz not null check (expires_at > requested_at),  -- not sent later
    sent_at      timestamptz,
    answers_until timestamptz,                        -- without an answer by then nobody knows
    answered_at  timestamptz,                         -- when the gateway ended it, by its clock; null: it has said nothing
    ended_at     timestamptz,
    detail       text not null default '',            -- why it did not end well
    unique (customer_id, command_id),
    unique (command_id, requested_by),
    foreign key (customer_id, role_id) references role (customer_id, role_id),
    foreign key (customer_id, edge_node_id) references edge_node (customer_id, edge_node_id),
    check ((sent_at is null) = (answers_until is null)),
    check ((ended_at is null) = (state in ('requested', 'approved', 'sent')))
);
-- One at a time: nobody sends against what another has asked for.
create unique index command_open_key on command (role_id, metric) where ended_at is null;
create index command_asset_idx on command (asset_id, command_id);
create index command_customer_idx on command (customer_id);

-- Who stands behind a critical command: nobody twice, and never who requested it.
create table command_approval (
    customer_id  int not null,
    command_id   int not null,
    requested_by int not null,
    account_id   int not null references account,
    at           timestamptz not null,
    primary key (command_id, account_id),
    check (account_id <> requested_by),
    foreign key (customer_id, command_id) references command (customer_id, command_id),
    foreign key (command_id, requested_by) references command (command_id, requested_by)
);

-- What migrate has done: component 'vigia' names the files of migrations/, 'jobs' the packaged ones of procrastinate.
create table schema_migration (
    component  text not null check (component in ('vigia', 'jobs')),
    name       text not null,
    applied_at timestamptz not null default now(),
    primary key (component, name)
);

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
