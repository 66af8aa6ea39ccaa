// How far a model's surface may be off, as its scan expects: a colour for each vertex.
import { BufferAttribute, Color, type BufferGeometry } from 'three';
import { EXPECTED_ERROR } from './model_file';

const STEPS = [
  { below_um: 5, color: '#3b6fb6' },
  { below_um: 10, color: '#6fb0d2' },
  { below_um: 20, color: '#cfe5b4' },
  { below_um: 40, color: '#f7c65b' },
  { below_um: 80, color: '#e9703a' },
  { below_um: Infinity, color: '#a3162f' },
];

/** Ten times as much for a face as for teeth, as it is graded. */
export function errorColors(coarse: boolean): { color: string; label: string }[] {
  return STEPS.map(({ below_um, color }, index) => {
    const from = (STEPS[index - 1]?.below_um ?? 0) * (coarse ? 10 : 1);
    return { color, label: Number.isFinite(below_um) ? `below ${below_um * (coarse ? 10 : 1)} µm` : `${from} µm and more` };
  });
}

/** null: the file says nothing of it. */
export function errorMap(geometry: BufferGeometry, coarse: boolean): BufferAttribute | null {
  const expected = geometry.getAttribute(EXPECTED_ERROR);
  if (!expected) return null;
  const palette = STEPS.map(({ color }) => new Color(color));
  const colors = new Float32Array(3 * expected.count);
  for (let vertex = 0; vertex < expected.count; vertex++) {
    const um = (1000 * expected.getX(vertex)) / (coarse ? 10 : 1);
    palette[STEPS.findIndex(({ below_um }) => um < below_um)]?.toArray(colors, 3 * vertex);
  }
  return new BufferAttribute(colors, 3);
}
