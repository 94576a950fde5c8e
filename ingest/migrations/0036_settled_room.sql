-- A device's line is written anew with every batch that settles something. Under load, when some transaction holds back
-- what may be cleaned up for a few seconds, a third of a page was too little room for that: more than half of the
-- writes moved the line to another page and put it into the index once more.
alter table ops.settled set (fillfactor = 40);
