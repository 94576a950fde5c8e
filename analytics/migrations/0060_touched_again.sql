-- Rows that late readings touched are made anew while others are touched. Each row says by which transaction it was touched
-- last: what is touched again meanwhile stays, and nobody waits for the other.
alter table rollup.touched add column touched xid8 not null default pg_current_xact_id();
comment on column rollup.touched.touched is 'The transaction that touched it last.';
