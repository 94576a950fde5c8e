-- What receivers are told of alarms: the outbox. A row is written in the transaction that takes the news out of
-- ops.alarm_news, and stays until the receiver has answered or nothing can be hoped for any more.
create table ops.delivery (
    id bigint generated always as identity primary key,
    key uuid not null default gen_random_uuid(),
    receiver text not null,
    history bigint not null,
    alarm bigint not null,
    what text not null,
    route text not null,
    language text not null check (language in ('vi', 'en')),
    state text not null default 'waiting' check (state in ('waiting', 'answered', 'given_up')),
    attempts integer not null default 0,
    away boolean not null default false,
    created timestamptz not null default now(),
    begun timestamptz not null default now(),
    next_try timestamptz not null default now(),
    settled timestamptz,
    said text,
    unique (receiver, history),
    check ((state = 'waiting') = (settled is null))
) with (fillfactor = 70);
create index delivery_waiting on ops.delivery (receiver, history) where state = 'waiting';
create index delivery_of_alarm on ops.delivery (alarm, receiver, history);
create index delivery_away on ops.delivery (receiver, next_try) where away;
create index delivery_settled on ops.delivery (settled) where settled is not null;
comment on table ops.delivery is
    'Who is, was or could not be told of which step of an alarm. key: the same in every try, by which a receiver knows what it has; away: the last try failed because of the receiver as a whole, which is left alone until next_try; begun: since when it is tried, after which it is given up some day; said: what the receiver answered last, or why it did not.';

create view city.alarm_delivery as
select d.id, d.receiver, d.alarm, d.history, d.what, d.state, d.attempts, d.created, d.next_try, d.settled, d.said,
       d.route, d.language, d.key::text as key
from ops.delivery d;
comment on view city.alarm_delivery is
    'Who was told of which step of which alarm, apart from MQTT. state: waiting (until next_try), answered or given_up; said: what the receiver answered last, or why it did not.';

create function ops.retry_deliveries(receiver text default null) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    again integer;
begin
    update ops.delivery d
    set state = 'waiting', settled = null, begun = clock_timestamp(), next_try = clock_timestamp(), away = false
    where (d.receiver = $1 or $1 is null)
      and (d.state = 'given_up' or d.state = 'waiting' and d.next_try > clock_timestamp());
    get diagnostics again = row_count;
    if again > 0 then
        perform pg_notify('dothi_alarm', '');
    end if;
    return again;
end
$$;
comment on function ops.retry_deliveries is
    'Tries again at once what was given up or waits for its next try, of one receiver or (null) of all; returns how many.';

grant select, insert, update, delete on ops.delivery to dothi_analyst;
revoke execute on function ops.retry_deliveries from public;
grant execute on function ops.retry_deliveries to dothi_analyst;
