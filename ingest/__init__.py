"""From the broker to the hypertables: sessions, decode, batch, write, quarantine, ledger."""
