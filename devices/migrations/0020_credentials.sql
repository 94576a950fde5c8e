-- Tokens of devices, two places each: while one is being replaced, both count.
create table registry.credential (
    device integer not null references registry.device on delete cascade,
    slot smallint not null check (slot in (0, 1)),
    hash bytea not null check (octet_length(hash) = 32),
    issued timestamptz not null default now(),
    seen timestamptz,
    revoked timestamptz,
    changed xid8 not null default pg_current_xact_id(),
    primary key (device, slot)
);
create index credential_changed on registry.credential (changed);
create index credential_rotating on registry.credential (device) where slot = 1 and revoked is null;
comment on table registry.credential is
    'SHA-256 of the tokens that devices show the broker. A token is 256 random bits: a slow hash would only cost the broker.';
comment on column registry.credential.seen is 'Last connection with this token, to the minute.';

grant update (slot, seen, changed), delete on registry.credential to dothi_writer;
revoke select on registry.credential from dothi_analyst;

create view city.credential as
select d.device, c.slot, c.issued, c.seen, c.revoked
from registry.credential c join registry.device d on d.id = c.device;
comment on view city.credential is 'When tokens of devices were issued, last seen and revoked; never the tokens or their hashes.';
