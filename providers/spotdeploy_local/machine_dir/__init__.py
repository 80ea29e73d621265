"""The folder of a machine: its disk and the facts about it."""
