"""The look of the report's page: both themes, paper, narrow screens; the course's colors."""

from __future__ import annotations

from labs_lib.colors import SHEET_COLORS

_LIGHT, _DARK, _PRINT = (
    " ".join(f"--{name}: {each[theme]};" for name, each in SHEET_COLORS.items())
    for theme in range(3)
)

STYLE = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
@media print {{ :root {{ {_PRINT} }}
  nav, .skip {{ display: none; }} tr, figure, li, .options {{ break-inside: avoid; }}
  h2 {{ break-after: avoid; }} main {{ max-width: none; padding: 0; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }}
main {{ max-width: 62rem; margin: auto; padding: 0 1rem 4rem; }}
nav {{ border-bottom: 1px solid var(--line); background: var(--panel); }}
nav ul {{ max-width: 62rem; margin: auto; padding: .5rem 1rem; display: flex; flex-wrap: wrap;
  gap: .25rem 1.25rem; list-style: none; }}
a {{ color: var(--blue); }}
a:focus-visible, .wide:focus-visible {{ outline: 3px solid var(--blue); outline-offset: 2px; }}
.skip {{ position: absolute; left: -999px; }}
.skip:focus {{ left: 1rem; top: .5rem; background: var(--paper); padding: .5rem; }}
h1 {{ font-size: 1.6rem; margin: 1.5rem 0 .25rem; }}
h2 {{ font-size: 1.25rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); }}
h3 {{ font-size: 1rem; margin: 1.5rem 0 .25rem; overflow-wrap: anywhere; }}
.faint, caption {{ color: var(--faint); }}
.wide {{ overflow-x: auto; position: relative; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; padding: .25rem 0; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid var(--line); }}
th[scope=row] {{ font-weight: 600; overflow-wrap: anywhere; min-width: 8rem; }}
td.number, th.number {{ text-align: right; white-space: nowrap; }}
td ul {{ margin: 0; padding-left: 1.1rem; }}
td.words {{ min-width: 14rem; }}
.share {{ display: inline-block; width: 4.5rem; height: .6rem; border: 1px solid var(--line);
  vertical-align: baseline; margin-left: .4rem; }}
.share span {{ display: block; height: 100%; background: var(--blue); }}
.remark {{ color: var(--mark); }}
figure {{ margin: 1rem 0; }} figcaption {{ color: var(--faint); }}
svg {{ width: 100%; max-width: 40rem; height: auto; }}
svg text {{ font: 12px system-ui, sans-serif; fill: var(--faint); }}
.grid {{ stroke: var(--line); }} .bar, .dot {{ fill: var(--blue); }}
.dot {{ fill-opacity: .75; }} .marked {{ fill: var(--mark); }}
.line {{ fill: none; stroke: var(--blue); stroke-width: 2; }}
.whisker {{ stroke: var(--ink); stroke-width: 2; }}
.prompt {{ border-left: 3px solid var(--line); padding-left: .8rem; overflow-x: auto; }}
.prompt pre {{ white-space: pre-wrap; }} td p {{ margin: 0; }}
@media (max-width: 40rem) {{ td.words {{ min-width: 11rem; }} th[scope=row] {{ min-width: 5rem; }}
  figure {{ overflow-x: auto; }} svg {{ min-width: 30rem; }} svg text {{ font-size: 14px; }} }}
"""
