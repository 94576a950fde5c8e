-- Devices that speak before they are enrolled: found without looking at everything else that is quarantined.
create index quarantine_unknown on ops.quarantine (received desc) where reason = 'unknown_device' and replayed is null;
