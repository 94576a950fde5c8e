-- Where millions of findings wait, as after the outage of a whole city, each look for events read all of them.
create index sign_event on rollup.sign (id) where event is not null;
