"""The style sheet of the page: light and dark, wide and narrow, screen and paper.

The line colours follow Okabe and Ito's palette for every kind of colour vision, each shifted in
lightness until it keeps 3:1 against its panel; text keeps 4.5:1. `hit` and `miss` are RGB triples
because their opacity is the datum.
"""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f8; --panel: #fff; --ink: #16191d; --soft: #555e68; --rule: #dde1e5;
  --grid: #e6e9ec; --accent: #0072b2; --warn: #8a4600; --warn-panel: #fff3e2;
  --hit: 0 114 178; --miss: 213 94 0;
  --tone-0: #0072b2; --tone-1: #d55e00; --tone-2: #009068; --tone-3: #b05a8c;
  --tone-4: #9a7400; --tone-5: #2a8cc4; --tone-6: #4a4f55;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121518; --panel: #1a1e23; --ink: #e8ebee; --soft: #a4aeb8; --rule: #2f363e;
    --grid: #2a3037; --accent: #6cb8ee; --warn: #f5b971; --warn-panel: #33260f;
    --hit: 86 170 230; --miss: 240 122 48;
    --tone-0: #56a9e6; --tone-1: #f07f36; --tone-2: #2fc79c; --tone-3: #df9cc6;
    --tone-4: #e6b422; --tone-5: #9ad4f7; --tone-6: #c3c9cf;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
    "DejaVu Sans", sans-serif;
  overflow-wrap: anywhere;
}
header, main, footer { max-width: 1140px; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.25rem; }
footer { padding-top: 2rem; padding-bottom: 2rem; color: var(--soft); font-size: .85rem; }
h1 { font-size: clamp(1.7rem, 1.2rem + 2.2vw, 2.5rem); line-height: 1.15; margin: 0;
  letter-spacing: -.02em; }
h2 { font-size: 1.3rem; margin: 2.75rem 0 .9rem; letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 1.5rem 0 .6rem; }
p { margin: .5rem 0; max-width: 46rem; }
small, .soft { color: var(--soft); }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.over { margin: 0 0 .35rem; color: var(--soft); font-size: .9rem; }
.claim { font-size: 1.12rem; margin-top: .8rem; }
.chips { display: flex; flex-wrap: wrap; gap: .4rem; list-style: none; padding: 0;
  margin: .9rem 0 0; }
.chips li { border: 1px solid var(--rule); background: var(--panel); border-radius: 99px;
  padding: .1rem .7rem; font-size: .85rem; }
.chips .status { border-color: currentColor; color: var(--accent); font-weight: 600; }
.chips .status.bad { color: var(--warn); }
.banner { border: 1px solid var(--warn); border-left-width: 5px; background: var(--warn-panel);
  border-radius: 8px; padding: .7rem 1rem; margin: 1.2rem 0 0; }
.banner p { margin: 0; max-width: none; }
nav { margin: 1.3rem 0 0; font-size: .9rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; list-style: none; padding: .6rem 0 0;
  margin: 0; border-top: 1px solid var(--rule); }
nav a { display: inline-block; padding: .15rem 0; text-decoration: none; }
nav a:hover { text-decoration: underline; }
.tiles { display: grid; gap: .8rem; margin: 0 0 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 11rem), 1fr)); }
.tiles div, .panel, .scroll { background: var(--panel); border: 1px solid var(--rule);
  border-radius: 10px; }
.tiles div { padding: .8rem 1rem; display: flex; flex-direction: column; }
.tiles dt { font-size: .85rem; color: var(--soft); }
.tiles dd { margin: 0; font-size: .85rem; color: var(--soft); }
.tiles dd.value { font-size: 1.75rem; line-height: 1.25; color: var(--ink); font-weight: 600;
  white-space: nowrap;  font-variant-numeric: tabular-nums; letter-spacing: -.02em; }
.grid { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20.5rem), 1fr)); }
figure { margin: 0; }
.panel { padding: .8rem .9rem; min-width: 0; }
figcaption { font-weight: 600; font-size: .95rem; }
figcaption small { font-weight: 400; font-size: .82rem; margin-left: .25rem; }
svg { display: block; width: 100%; height: auto; }
.chart > svg { margin: .4rem 0 .2rem; }
svg text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
svg line.grid { stroke: var(--grid); }
svg line.axis { stroke: var(--soft); }
svg line.mark { stroke: var(--soft); stroke-dasharray: 1 3; stroke-linecap: round; }
svg text.mark { font-size: 11px; paint-order: stroke; stroke: var(--panel); stroke-width: 4px; }
svg polyline { fill: none; stroke: var(--tone); stroke-width: 2; stroke-linejoin: round;
  stroke-linecap: butt; }
svg circle { fill: var(--tone); }
svg circle.tip { fill: transparent; }
.tone-0 { --tone: var(--tone-0); } .tone-1 { --tone: var(--tone-1); }
.tone-2 { --tone: var(--tone-2); } .tone-3 { --tone: var(--tone-3); }
.tone-4 { --tone: var(--tone-4); } .tone-5 { --tone: var(--tone-5); }
.tone-6 { --tone: var(--tone-6); }
svg rect.busy { fill: var(--tone); }
.legend { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .1rem 1rem; font-size: .83rem; color: var(--soft); }
.legend li { display: inline-flex; align-items: center; gap: .4rem; min-width: 0; }
.legend svg { width: 26px; flex: none; }
.legend b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 0 0 .8rem; max-width: 100%; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption span { position: sticky; left: .9rem; display: inline-block;
  max-width: calc(100vw - 4rem); }
caption { text-align: left; padding: .7rem .9rem .45rem; font-weight: 600; font-size: .95rem; }
th, td { padding: .4rem .9rem; border-top: 1px solid var(--rule); vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; font-size: .83rem; vertical-align: bottom; }
tbody th { font-weight: 500; text-align: left; }
.numbers td, .numbers thead th { text-align: right; }
.numbers td, .tight, .whole { white-space: nowrap; }
.numbers.loose td { white-space: normal; min-width: 9rem; }
.numbers thead th:first-child { text-align: left; }
.numbers tbody th { min-width: 14rem; }
.facts td, .facts th { text-align: left; overflow-wrap: anywhere; }
.facts tbody th { width: 38%; color: var(--soft); font-weight: 400; }
.pairs { display: grid; gap: 0 .8rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.confusion { width: auto; }
.confusion td, .confusion thead th { text-align: right; padding: .35rem .5rem; }
.confusion tbody th { white-space: nowrap; padding-right: .6rem; }
.confusion .corner { text-align: left; white-space: nowrap; padding-left: .9rem; }
.confusion td { border: 1px solid var(--rule); min-width: 2.7rem; }
.confusion td.hit { background: rgb(var(--hit) / var(--s)); font-weight: 600; }
.confusion td.miss { background: rgb(var(--miss) / var(--s)); }
.confusion td.zero { color: var(--soft); }
.confusion .sum { border-right: 0; color: var(--soft); }
.upright thead th:not(.corner) span { writing-mode: vertical-rl; transform: rotate(180deg);
  white-space: nowrap; display: inline-block; }
.close { width: fit-content; }
details { margin: 0 0 .8rem; }
summary { cursor: pointer; padding: .4rem 0; color: var(--accent); }
.heat { margin-bottom: .8rem; }
.heat img { width: min(100%, 34rem); height: auto; image-rendering: pixelated;
  border: 1px solid var(--rule); display: block; }
.heat figcaption { font-weight: 400; font-size: .85rem; color: var(--soft); margin-top: .5rem;
  max-width: 34rem; }
.fields { display: grid; gap: 6px; margin-top: .8rem; grid-template-columns: repeat(16, 1fr); }
.fields img { width: 100%; height: auto; display: block; image-rendering: pixelated;
  border: 1px solid var(--rule); border-radius: 3px; }
.strip { margin: .8rem 0 .3rem; font-size: .85rem; }
.strips { display: grid; gap: 6px; grid-template-columns: repeat(10, minmax(0, 5rem)); }
.strips img { width: 100%; height: auto; display: block; image-rendering: pixelated;
  border-radius: 4px; }
.stack { display: grid; gap: .8rem; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .2em; }
pre { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px;
  padding: .7rem .9rem; margin: 0 0 .8rem; white-space: pre-wrap; font-size: .9rem;
  overflow-wrap: anywhere; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
@media (max-width: 40rem) {
  header, main, footer { padding-left: .9rem; padding-right: .9rem; }
  header { padding-top: 1.4rem; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tiles div { padding: .65rem .8rem; }
  .tiles dd.value { font-size: 1.35rem; }
  th, td, caption { padding-left: .7rem; padding-right: .7rem; }
  caption span { left: .7rem; }
  .numbers tbody th { position: sticky; left: 0; background: var(--panel); min-width: 7.5rem;
    max-width: 40vw; }
  .fields { grid-template-columns: repeat(8, 1fr); gap: 4px; }
  .strips { gap: 3px; }
  .confusion tbody th { position: sticky; left: 0; background: var(--panel); }
}
@media print {
  :root { --page: #fff; }
  nav { display: none; }
  .panel, .tiles div, tr { break-inside: avoid; }
}
"""
