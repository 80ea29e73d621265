"""The runbook of a cycle, and the policies that end it."""
