-- Each cell in which something was heard is written anew every few seconds, and ANALYZE comes round with it; its lines are asked
-- for by their key. 3,000 lines tell as much as 30,000.
alter table rollup.cell_newest
    alter column level set statistics 10,
    alter column x set statistics 10,
    alter column y set statistics 10,
    alter column family set statistics 10,
    alter column online set statistics 10,
    alter column worst set statistics 10;
