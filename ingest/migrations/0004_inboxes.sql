-- Which session each inbox has at which broker, so that one that is gone unexpectedly is noticed.
create table ops.inbox (
    inbox text not null,
    broker text not null,
    worker smallint not null,
    since timestamptz not null,
    seen timestamptz not null,
    primary key (inbox, broker)
) with (fillfactor = 50);
comment on table ops.inbox is
    'Sessions that brokers keep for us: begun since, known to be connected up to seen. Found without its session, an inbox may have lost what came in between.';

create view city.inbox as select inbox, broker, worker, since, seen from ops.inbox;

grant select, insert, update on ops.inbox to dothi_writer;
