"""The look of ``report.html``: light and dark, phone and print."""

_DARK = """--ink: #e6edf3; --quiet: #a3b1bf; --line: #3a4654; --card: #18212b; --page: #0d141b;
  --accent: #56b4e9; --minus: #f0894a; --ours: #1f3244; --axis: #8494a5;"""

# Colours of Okabe & Ito (2008), told apart by the colour-blind; see report/svg.py.
STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --quiet: #52606d; --line: #d5dbe1;
  --card: #fff; --page: #f5f7fa; --accent: #0072b2; --minus: #d55e00; --ours: #e8f2f9;
  --axis: #9aa5b1; }
@media screen and (prefers-color-scheme: dark) { :root { DARK } }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); margin: 0;
  background: var(--page); overflow-wrap: break-word; }
header, main, footer { max-width: 1240px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 24px; }
footer { padding-bottom: 48px; }
h1 { font-size: 28px; line-height: 1.25; margin: 4px 0 12px; }
h2 { font-size: 20px; margin: 0 0 12px; }
h3 { font-size: 16px; margin: 18px 0 6px; }
.name { color: var(--quiet); margin: 0; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 0; margin: 0; }
a { color: var(--accent); }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 20px; top: 4px; background: var(--card); padding: 4px 8px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 20px 24px; margin: 18px 0; }
.verdict { border: 2px solid var(--quiet); border-left-width: 10px; border-radius: 8px;
  padding: 10px 18px; margin: 10px 0; }
.verdict p { margin: 4px 0; }
.verdict .word { font-size: 24px; font-weight: 700; }
.verdict.good { border-color: var(--accent); }
.verdict.bad { border-color: var(--minus); }
.headline { font-weight: 600; }
.note { color: var(--quiet); font-size: 14px; }
.scroll { overflow-x: auto; margin: 10px 0; }
table { border-collapse: collapse; font-size: 14px; width: 100%; }
caption { text-align: left; color: var(--quiet); font-size: 14px; padding: 4px 0; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; font-variant-numeric: tabular-nums; }
thead th { color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 600; }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 2px 0;
  cursor: pointer; text-align: left; white-space: nowrap; text-decoration: underline dotted; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
td small { color: var(--quiet); display: block; font-size: 12px; white-space: nowrap; }
tr.ours > * { font-weight: 700; background: var(--ours); }
.tools { display: flex; flex-wrap: wrap; gap: 8px 18px; align-items: end; }
.tools label { display: block; font-size: 14px; color: var(--quiet); }
.tools input, .tools select { font: inherit; max-width: 100%; padding: 4px 8px; color: var(--ink);
  background: var(--page); border: 1px solid var(--axis); border-radius: 6px; }
table.listed ul { margin: 0; padding-left: 16px; }
table.listed td:last-child { min-width: 300px; }
.true, .false { white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; gap: 18px; }
figure { margin: 0; max-width: 100%; }
.figures figure { flex: 1 1 420px; max-width: 560px; }
figure svg { max-width: 100%; height: auto; fill: var(--ink); }
summary { cursor: pointer; color: var(--accent); }
.shares { display: grid; grid-template-columns: minmax(0, auto) auto minmax(40px, 200px);
  gap: 2px 12px; margin: 8px 0; padding: 0; list-style: none; }
.shares li { display: contents; }
.bar span { display: inline-block; height: 12px; border-radius: 3px; }
.plus { background: var(--accent); } .minus { background: var(--minus); }
pre { white-space: pre-wrap; font-size: 13px; background: var(--page); padding: 12px;
  border-radius: 6px; }
code { font-size: 13px; overflow-wrap: anywhere; }
@media screen and (max-width: 700px) {
  header, main, footer { padding-left: 10px; padding-right: 10px; }
  section { padding: 14px 12px; }
  h1 { font-size: 23px; }
  table, caption, tbody, tr, tbody th, tbody td { display: block; }
  thead { position: absolute; left: -9999px; }
  tbody tr { border: 1px solid var(--line); border-radius: 8px; padding: 6px 10px;
    margin: 0 0 10px; }
  tbody th, tbody td { border: 0; padding: 2px 0; overflow-wrap: anywhere; }
  tbody td::before { content: attr(data-label) ": "; color: var(--quiet); font-weight: 400; }
  tbody th::before { content: attr(data-label) ": "; color: var(--quiet); font-weight: 400; }
  tbody td:empty { display: none; }
  td small { display: inline; white-space: normal; }
  tr.ours { background: var(--ours); }
  table.listed td:last-child { min-width: 0; }
}
@media print {
  body { font-size: 11px; background: none; }
  nav, .tools, .skip, details { display: none; }
  header, main, footer { max-width: none; padding: 0; }
  section { border: 0; padding: 0; border-radius: 0; }
  .scroll { overflow: visible; }
  table { font-size: 9px; } caption, .note { font-size: 10px; }
  th, td { padding: 3px 6px 3px 0; }
  td:last-child { overflow-wrap: anywhere; }
  th button { display: contents; } /* a button is not painted again on the next page */
  th[aria-sort] button::after { content: none !important; }
  table.listed td:last-child { min-width: 220px; }
  td small { font-size: 8px; white-space: normal; }
  tr, p, figure, .verdict { break-inside: avoid; }
  h2, h3, caption, thead { break-after: avoid; }
  thead { break-inside: avoid; }
  .scroll, tbody tr:nth-child(-n+2), footer { break-before: avoid; }
  footer { padding-bottom: 0; }
  .figures { display: block; orphans: 1; widows: 1; }
  .figures figure { display: inline-block; width: 44%; }
  @page { size: A4; margin: 14mm; }
}
""".replace("DARK", _DARK)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the verdict</a>
<header>
<p class="name">{name}</p>
<h1>{title}</h1>
<nav aria-label="Sections"><ul>{listed}</ul></nav>
</header>
<main id="content">
{body}
</main>
<footer>
<p class="note">Made by knowreason. Log-odds of 0 are one half; each +0.69 doubles the odds.</p>
</footer>
<script>{script}</script>
</body>
</html>
"""
