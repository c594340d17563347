"""The report's style sheet: one column on a phone, two on a laptop, light and dark."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--paper:#f8f4ec;--card:#fffdf9;--ink:#25211c;--muted:#6a6156;
--line:#e5dccd;--accent:#2a736e;--good:#21754a;--bad:#b3432c;--warn:#855800;--warnbg:#fdf0cf;
--shadow:0 1px 2px rgba(60,40,10,.05),0 6px 24px rgba(60,40,10,.06);
--e-amusement:#8f6100;--e-awe:#3463bf;--e-contentment:#2b7a45;--e-excitement:#bd471a;
--e-anger:#bd2d2d;--e-disgust:#666c14;--e-fear:#7450b4;--e-sadness:#426c82}
@media (prefers-color-scheme:dark){:root{--paper:#17161b;--card:#201f26;--ink:#eee8de;
--muted:#a39b90;--line:#37343f;--accent:#6cc3ba;--good:#5fc48c;--bad:#e9806a;--warn:#f2c86b;
--warnbg:#3a3019;--shadow:0 1px 2px rgba(0,0,0,.3);--e-amusement:#edb54a;--e-awe:#82a9f5;
--e-contentment:#74cc8e;--e-excitement:#f58b5e;--e-anger:#ee6b63;--e-disgust:#bac353;
--e-fear:#b295ee;--e-sadness:#86b6cf}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:3.4rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main,header.top,footer{max-width:1120px;margin:0 auto;padding:0 22px}
h1,h2,h3{font-family:"Iowan Old Style","Palatino Linotype",Palatino,Georgia,"DejaVu Serif",serif;
line-height:1.18;font-weight:600;margin:0;text-wrap:balance}
h1{font-size:clamp(2rem,5vw,3.1rem);letter-spacing:-.015em}
h2{font-size:clamp(1.45rem,3vw,1.9rem);margin:0 0 .35rem}
h3{font-size:1.08rem;margin:0 0 .5rem}h3.next{margin-top:26px}
h2.run{font-size:clamp(1.8rem,4vw,2.5rem)}
p{margin:.4rem 0;max-width:70ch}.lead{font-size:1.12rem;color:var(--muted)}
.small{font-size:.86rem;color:var(--muted)}a{color:var(--accent)}
header.top{padding-top:34px}
.kicker{text-transform:uppercase;letter-spacing:.14em;font-size:.74rem;font-weight:600;
color:var(--accent);margin:0 0 .5rem}
.hero{display:grid;grid-template-columns:repeat(8,1fr);gap:8px;margin:24px 0 8px}
.hero figure{margin:0;min-width:0}
.hero img{width:100%;aspect-ratio:1;object-fit:cover;border-radius:10px;
display:block;box-shadow:var(--shadow)}
.hero figcaption{font-size:.8rem;font-weight:600;margin-top:5px;text-align:center}
nav{position:sticky;top:0;z-index:5;background:color-mix(in srgb,var(--paper) 92%,transparent);
backdrop-filter:blur(8px);border-bottom:1px solid var(--line);margin-top:18px}
nav div{max-width:1120px;margin:0 auto;padding:0 22px;display:flex;gap:20px;overflow-x:auto;
scrollbar-width:none}
nav a:focus-visible,summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
nav a{white-space:nowrap;padding:11px 0;font-size:.9rem;text-decoration:none;color:var(--muted)}
nav a:hover{color:var(--ink)}
section{padding:40px 0 4px}
.tiles{display:grid;grid-template-columns:repeat(3,1fr);gap:14px;
margin:22px 0 6px}
.card,.tile{background:var(--card);border:1px solid var(--line);border-radius:14px;
padding:16px 18px;box-shadow:var(--shadow);min-width:0}
.tile b{display:block;font:600 2rem/1.1 "Iowan Old Style",Palatino,Georgia,"DejaVu Serif",serif;
margin:.15rem 0 .3rem;font-variant-numeric:tabular-nums}
.tile .name{font-size:.88rem;font-weight:600}.tile .small{line-height:1.4;display:block}
.meter{position:relative;height:7px;border-radius:4px;background:var(--line);margin:.5rem 0}
.meter i{position:absolute;inset:0 auto 0 0;border-radius:4px;background:var(--accent)}
.meter u{position:absolute;top:-3px;bottom:-3px;width:2px;background:var(--ink)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:18px;
margin-top:16px;align-items:start}
svg{width:100%;height:auto;display:block;overflow:visible}
img.figure{width:100%;height:auto;display:block;background:#fff;border-radius:8px}
main>section>.card{margin-top:16px}
svg.map{max-width:780px;margin:0 auto}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg .axis{fill:var(--muted);font-size:12px}
svg .cell{font-size:12.5px;font-variant-numeric:tabular-nums}
svg .cell.on{fill:var(--card);font-weight:600}
svg .grid{stroke:var(--line)}svg .diagonal{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:5 5}
svg .centre{font-size:15px;font-weight:700;paint-order:stroke;stroke:var(--card);stroke-width:5px;
stroke-linejoin:round}
.scroll{overflow-x:auto;margin:14px 0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.93rem}
th{text-align:left;font-size:.8rem;color:var(--muted);font-weight:600;vertical-align:bottom}
td,th[scope=row]{vertical-align:top}
th,td{padding:8px 14px 8px 0;border-bottom:1px solid var(--line)}
td .small{min-width:8.5rem}td.n,th.n{text-align:right}td:last-child,th:last-child{padding-right:0}
th[scope=row]{font-size:inherit;color:var(--ink);font-weight:400;min-width:7rem}
.of{color:var(--muted);white-space:nowrap}
.dot{display:inline-block;width:.62em;height:.62em;border-radius:50%;margin-right:.5em}
.sheet{display:grid;grid-template-columns:repeat(10,1fr);gap:12px;
margin:10px 0 26px}
.sheet figure{margin:0;min-width:0}
.sheet img{width:100%;aspect-ratio:1;object-fit:cover;border-radius:9px;display:block}
.sheet figcaption{font-size:.76rem;line-height:1.35;margin-top:4px;color:var(--muted);
overflow-wrap:anywhere}
.yes{color:var(--good);font-weight:600}.no{color:var(--bad);font-weight:600}
.emotion{display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 12px}
.readings{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));
gap:14px;margin:16px 0}
.reading{display:grid;grid-template-columns:104px 1fr;gap:14px;padding:12px}
.reading>img,.reading>.none{width:104px;height:104px;border-radius:9px;object-fit:cover}
.none{background:var(--line);display:grid;place-items:center;font-size:.74rem;color:var(--muted)}
.reading .who{font-weight:600;display:flex;flex-wrap:wrap;gap:2px 8px;align-items:baseline}
.who .small{font-weight:400}
.bars{display:grid;grid-template-columns:5.3rem 1fr max-content;gap:2px 8px;align-items:center;
font-size:.78rem;color:var(--muted);margin:.35rem 0}
.bars span i{display:block;height:6px;border-radius:3px;min-width:1px}
blockquote{margin:.4rem 0 0;padding-left:10px;border-left:3px solid var(--line);font-size:.86rem;
font-style:italic}
.id{font-size:.74rem;color:var(--muted);overflow-wrap:anywhere}
.badge{display:inline-block;background:var(--warnbg);color:var(--warn);font-weight:600;
font-size:.76rem;padding:2px 9px;border-radius:9px;line-height:1.45;margin-bottom:3px}
.outside .who,.outside .bars,.outside blockquote{opacity:.62}
details{margin:12px 0}summary{cursor:pointer;font-weight:600;font-size:.93rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 20px;font-size:.92rem;margin:12px 0}
dt{font-weight:600}dd{margin:0;color:var(--muted);max-width:70ch}
code{font-size:.86em;overflow-wrap:anywhere}
hr{border:0;border-top:1px solid var(--line);margin:44px 0 0}
footer{padding-top:26px;padding-bottom:48px}
@media (max-width:900px){.sheet{grid-template-columns:repeat(5,1fr)}}
@media (max-width:640px){nav{position:static}nav div{flex-wrap:wrap;gap:0 18px}
nav a{padding:8px 0}html{scroll-padding-top:.6rem}
table,tbody,tr,th[scope=row],td{display:block}thead{position:absolute;width:1px;height:1px;
overflow:hidden;clip-path:inset(50%)}
tr{padding:9px 0;border-bottom:1px solid var(--line)}
th[scope=row],td,td.n{border:0;padding:2px 0;text-align:left}th[scope=row]{font-weight:600}
td[data-label]{display:grid;grid-template-columns:minmax(8.5rem,42%) 1fr;gap:10px}
td[data-label]::before{content:attr(data-label);color:var(--muted);font-size:.86em}
td[data-label].dash{display:none}td[data-label="What it says"]{display:block}
td[data-label="What it says"]::before{content:none}
td[data-label=""]{display:block}td[data-label=""]::before{content:none}
svg .axis{font-size:15px}svg .cell{font-size:15px}svg.map .centre{font-size:23px}
.of{white-space:normal}
main,header.top,footer,nav div{padding-left:16px;padding-right:16px}
.hero{grid-template-columns:repeat(4,1fr)}.hero figcaption{font-size:.72rem}
.sheet figcaption{font-size:.66rem}.sheet{grid-template-columns:repeat(4,1fr);gap:9px}
.tiles{grid-template-columns:1fr 1fr;gap:10px}.tile{padding:12px 13px}.tile b{font-size:1.6rem}
.card{padding:14px}section{padding-top:30px}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}
.reading{grid-template-columns:84px 1fr}.reading>img,.reading>.none{width:84px;height:84px}}
@media print{nav{display:none}.card,.tile{box-shadow:none;break-inside:avoid}}
"""
