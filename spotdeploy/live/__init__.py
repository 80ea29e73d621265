"""`plugins test NAME --live`: the contract, looked at on a real account, once and cheaply."""
