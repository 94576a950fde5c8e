-- Devices are found by words of their names as people type them: "dong mo" is "Đồng Mỏ". Apart from the new columns,
-- whose lock must not last as long as filling an index. No extension is asked for: pg_trgm may not be there.
create function registry.fold(said text) returns text
language sql immutable parallel safe as $$
    select lower(translate(
        normalize(said, NFD),
        U&'\0110\0111\00A0,;.:_/()[]"+#-\0300\0301\0302\0303\0306\0308\0309\030A\030C\031B\0323\0327',
        'dd               '
    ))
$$;
comment on function registry.fold is 'In lower case, without diacritics, blanks for what stands between words.';

create function registry.words(said text) returns tsvector
language sql immutable parallel safe as $$
    select array_to_tsvector(array_remove(string_to_array(registry.fold(said), ' '), ''))
$$;
comment on function registry.words is 'The words of a text, folded.';

create index device_words on registry.device using gin (
    registry.words(coalesce(name, '') || ' ' || coalesce(owner, '') || ' ' || coalesce(tags, ''))
);
create unique index device_eui on registry.device (eui) where eui is not null;
create index device_serial on registry.device (registry.fold(serial) collate "C") where serial is not null;
create index alias_name on registry.alias (registry.fold(foreign_id) collate "C");
revoke execute on function registry.fold, registry.words from public;
