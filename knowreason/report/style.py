"""The look of ``report.html``."""

STYLE = """
:root { --ink: #1f2933; --quiet: #616e7c; --line: #e4e7eb; --accent: #1768ac; --warn: #c1121f; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); margin: 0; background: #f5f7fa; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 28px; margin: 12px 0 8px; text-transform: capitalize; }
h2 { font-size: 19px; margin: 0 0 12px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 20px 24px; margin: 18px 0; }
.question { font-size: 18px; }
.headline { font-size: 17px; border-left: 4px solid var(--accent); padding-left: 12px; }
.note { color: var(--quiet); font-size: 14px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; width: 100%; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--quiet); font-weight: 600; }
td small { color: var(--quiet); display: block; font-size: 11px; white-space: nowrap; }
tr.ours td { font-weight: 700; background: #eef5fb; }
.figures { display: flex; flex-wrap: wrap; gap: 18px; }
figure { margin: 0; max-width: 100%; }
.figures figure { flex: 1 1 420px; max-width: 490px; }
figure svg { max-width: 100%; height: auto; }
details { border-top: 1px solid var(--line); padding: 10px 0; }
summary { cursor: pointer; font-weight: 600; }
.shares { width: auto; min-width: 60%; margin: 10px 0; }
.shares td { border: 0; padding: 2px 12px 2px 0; }
.num { font-variant-numeric: tabular-nums; text-align: right; }
.bar { width: 240px; }
.bar span { display: inline-block; height: 12px; border-radius: 3px; }
.plus { background: var(--accent); } .minus { background: var(--warn); }
pre { overflow-x: auto; font-size: 13px; background: #f5f7fa; padding: 12px; border-radius: 6px; }
code { font-size: 13px; word-break: break-word; }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - knowreason report</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
<p class="note">Made by knowreason. Log-odds of 0 are one half; each +0.69 doubles the odds.</p>
</main>
</body>
</html>
"""
