"""The engine that boots machines with systemd-nspawn."""
