const left = 14, top_ = 14, side = 320, low = 1, high = 9;
const rest = 150;  // milliseconds without a key before the server is asked to draw
const patience = 5000;  // after so many a drawing is believed, whatever was asked for
let wanted = null, timer = null, asked = 0, keyed = false;
const within = value => Math.min(high, Math.max(low, Math.round(value * 10) / 10));
const plane = () => element.querySelector('svg[data-plane]');
function drawn() {
  const dot = plane()?.querySelector('circle.here');
  const x = dot ? +dot.getAttribute('cx') : left + side / 2;
  const y = dot ? +dot.getAttribute('cy') : top_ + side / 2;
  return [low + (high - low) * (x - left) / side, high - (high - low) * (y - top_) / side];
}
function mark([valence, arousal]) {  // at once; words make room when the server has drawn
  for (const circle of plane()?.querySelectorAll('circle.here, circle.halo') ?? []) {
    circle.setAttribute('cx', left + side * (valence - low) / (high - low));
    circle.setAttribute('cy', top_ + side * (high - arousal) / (high - low));
  }
}
function place(valence, arousal) {
  wanted = [within(valence), within(arousal)];
  mark(wanted);
  clearTimeout(timer);
  timer = setTimeout(() => {
    timer = null;
    asked = Date.now();
    trigger('placed', {valence: wanted[0], arousal: wanted[1]});
  }, rest);
}
element.addEventListener('click', event => {
  const svg = event.target.closest('svg[data-plane]');
  if (!svg) return;
  const at = new DOMPoint(event.clientX, event.clientY)
    .matrixTransform(svg.getScreenCTM().inverse());
  place(low + (high - low) * (at.x - left) / side, high - (high - low) * (at.y - top_) / side);
});
element.addEventListener('keydown', event => {
  const svg = event.target.closest('svg[data-plane]');
  const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
  const step = steps[event.key];
  if (!svg || !step) return;
  event.preventDefault();
  keyed = true;
  const [valence, arousal] = wanted ?? drawn(), size = event.shiftKey ? 1 : 0.2;
  place(valence + size * step[0], arousal + size * step[1]);
});
element.addEventListener('focusout', event => { if (event.relatedTarget) keyed = false; });
new MutationObserver(() => {  // a new drawing: from the sliders, or of a place asked for
  const svg = plane();
  if (!svg) return;
  if (keyed && document.activeElement === document.body) svg.focus();
  if (wanted === null) return;
  const [valence, arousal] = drawn();
  const same = within(valence) === wanted[0] && within(arousal) === wanted[1];
  if (timer === null && (same || Date.now() - asked > patience)) wanted = null;
  else mark(wanted);
}).observe(element, {childList: true, subtree: true});
