const left = 14, top_ = 14, side = 320, low = 1, high = 9;
function place(valence, arousal) {
  const keep = value => Math.min(high, Math.max(low, Math.round(value * 10) / 10));
  trigger('placed', {valence: keep(valence), arousal: keep(arousal)});
}
function here(svg) {
  const dot = svg.querySelector('circle.here');
  const x = dot ? +dot.getAttribute('cx') : left + side / 2;
  const y = dot ? +dot.getAttribute('cy') : top_ + side / 2;
  return [low + (high - low) * (x - left) / side, high - (high - low) * (y - top_) / side];
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
  const [valence, arousal] = here(svg), size = event.shiftKey ? 1 : 0.2;
  place(valence + size * step[0], arousal + size * step[1]);
  setTimeout(() => element.querySelector('svg[data-plane]')?.focus(), 300);
});
