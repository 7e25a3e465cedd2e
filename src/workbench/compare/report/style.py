"""How a report in HTML looks: by day, by night and on paper. No fonts and no pictures from elsewhere."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --grey: #5c5c5c; --rule: #c9c9c9; --soft: #f5f5f2;
  --one: #a84300; --two: #005f9e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e4df; --paper: #16181b; --grey: #a3a29d; --rule: #43474c;
  --soft: #1e2125; --one: #f0a35e; --two: #7cc0f2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--rule); padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
.recommendation { font-size: 1.2rem; line-height: 1.4; border-left: 4px solid var(--two); padding: .2rem 0 .2rem 1rem;
  margin: 1rem 0; overflow-wrap: anywhere; }
.quiet, .note, figcaption, caption { color: var(--grey); font-size: .875rem; }
.note { margin: .3rem 0 1rem; }
li, p, dd { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 .3rem; font-size: .875rem; line-height: 1.35;
  font-variant-numeric: tabular-nums; border-top: 1.5px solid var(--ink); border-bottom: 1.5px solid var(--ink); }
caption { text-align: left; padding: 0 0 .35rem; font-weight: 600; color: var(--ink); }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; }
th:last-child, td:last-child { padding-right: 0; }
thead th { border-bottom: 1px solid var(--ink); font-weight: 600; }
tbody th { font-weight: 400; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
.figures td, .last-wraps :is(td, th):not(:last-child) { white-space: nowrap; }
.square { max-width: 44rem; font-size: 1rem; }
.square td, .square th { white-space: nowrap; }
.square tbody tr:last-child > *, .square tr > :nth-child(4) { color: var(--grey); }
.hashes td { overflow-wrap: anywhere; white-space: pre-wrap; }
figure { margin: 1.2rem 0; }
svg { display: block; width: 100%; height: auto; max-width: 46rem; font-family: inherit; }
svg .one { color: var(--one); }
svg .two { color: var(--two); }
svg circle.hollow { fill: var(--paper); }
details { border-top: 1px solid var(--rule); padding: .35rem 0; }
summary { cursor: pointer; font-weight: 600; }
summary .quiet { font-weight: 400; }
.question { margin: 1rem 0 1.6rem; padding-left: 1rem; border-left: 2px solid var(--rule); }
.asked { font-weight: 600; white-space: pre-wrap; margin: 0; }
.answers { table-layout: fixed; }
.answers td, .answers th { overflow-wrap: anywhere; }
.answers :is(td, th):first-child { width: 5.5rem; }
.answers tbody th { color: var(--grey); }
.answers .said { white-space: pre-wrap; background: var(--soft); border-right: .5rem solid var(--paper);
  padding: .3rem .5rem; }
@media (max-width: 40rem) { .answers { min-width: 40rem; } }
@media print {
  :root { font-size: 8.5pt; color-scheme: light; --ink: #000; --paper: #fff; --grey: #444; --rule: #bbb; --soft: #fff;
    --one: #a84300; --two: #005f9e; }
  body { max-width: none; padding: 0; }
  h2, h3, caption { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  .wide { overflow: visible; }
  .figures td { white-space: normal; }
}
@page { margin: 18mm 15mm; }
"""
