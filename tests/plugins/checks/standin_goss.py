"""A program in the place of goss: it knows `file:` and `exists:`, and answers as goss 0.4 does."""

STAND_IN_GOSS = """#!/usr/bin/env python3
import json, os, re, sys

assert sys.argv[1:] == ["--gossfile", "-", "validate", "--format", "json", "--no-color"]
rows = []
for path in re.findall(r"^  (/.*):$", sys.stdin.read(), re.MULTILINE):
    there = os.path.exists(path)
    found = str(there).lower()
    rows.append({
        "successful": there, "skipped": False, "resource-id": path, "resource-type": "File",
        "property": "exists", "result": 0 if there else 1, "err": None, "title": "", "meta": None,
        "matcher-result": {"actual": there, "message": "to equal", "expected": True},
        "summary-line": f"File: {path}: exists:\\nExpected\\n    {found}\\nto equal\\n    true",
    })
failed = sum(row["result"] for row in rows)
summary = {"test-count": len(rows), "failed-count": failed, "skipped-count": 0}
print(json.dumps({"results": rows, "summary": summary}))
sys.exit(1 if failed else 0)
"""
