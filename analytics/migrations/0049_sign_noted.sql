-- How late a finding was when it was noted says whether it is of readings that came late; how long it waited does not.
alter table rollup.sign add column noted timestamptz not null default now();
