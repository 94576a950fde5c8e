-- The family of each device beside it, so that an index finds the devices of a zone and a family by name.
alter table registry.area add constraint code_is_id check (code = lpad(id::text, 3, '0'));
comment on constraint code_is_id on registry.area is
    'Indexes of registry.device know the code of a zone without looking it up.';

alter table registry.device add column family text;
comment on column registry.device.family is 'The family of its profile; kept by triggers.';

create function registry.name_family() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    new.family := (select p.family from registry.profile p where p.id = new.profile);
    return new;
end
$$;
create trigger family_inserted before insert on registry.device for each row execute function registry.name_family();
create trigger family_updated before update on registry.device for each row
    when (old.profile <> new.profile or new.family is null) execute function registry.name_family();

create function registry.rename_family() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update registry.device d set family = new.family where d.profile = new.id;
    return null;
end
$$;
create trigger family_changed after update on registry.profile for each row
    when (old.family <> new.family) execute function registry.rename_family();

revoke execute on function registry.name_family, registry.rename_family from public;
