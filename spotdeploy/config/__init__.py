"""spotdeploy.toml: its schema, reading it, and what to say when it is wrong."""
