// Where a jaw meets the other one: a file beside its model (pipeline/bite.h says what is in it).
import { BufferAttribute, Color } from 'three';
import { request, type RecordFile } from './api';

const MAGIC = 'CUSPBITE';
const HEAD_BYTES = 32;
const FAR_APART = 32767;

/** From bitten through to almost apart: the distance up to which a colour is used, mm. */
export const BITE_COLORS = [
  { below_mm: 0, color: '#9d0f2b', label: 'bites through' },
  { below_mm: 0.1, color: '#e8412f', label: 'below 0.1 mm' },
  { below_mm: 0.3, color: '#f6a21b', label: '0.3 mm' },
  { below_mm: 0.6, color: '#f3e24a', label: '0.6 mm' },
  { below_mm: 1, color: '#58b368', label: '1 mm' },
  { below_mm: 2, color: '#4a8fd6', label: '2 mm' },
];
const APART = new Color('#efe9df');

export interface BiteMap {
  contact_mm2: number;
  through_mm2: number;
  deepest_mm: number;
  /** A colour for each vertex of the jaw's PLY. */
  colors: BufferAttribute;
}

export async function loadBiteMap(file: RecordFile, vertices: number, signal: AbortSignal): Promise<BiteMap> {
  const content = await (await request(file.url, signal)).arrayBuffer();
  const view = new DataView(content);
  const magic = content.byteLength >= HEAD_BYTES ? new TextDecoder('latin1').decode(content.slice(0, 8)) : '';
  if (magic !== MAGIC || view.getUint32(8, true) !== 1) throw new Error(`${file.file_name} can’t be read as a bite map.`);
  if (view.getUint32(12, true) !== vertices || content.byteLength !== HEAD_BYTES + 2 * vertices)
    throw new Error(`${file.file_name} belongs to another model.`);
  const step_mm = view.getFloat32(16, true);
  const palette = BITE_COLORS.map(({ color }) => new Color(color));
  const colors = new Float32Array(3 * vertices);
  for (let vertex = 0; vertex < vertices; vertex++) {
    const step = view.getInt16(HEAD_BYTES + 2 * vertex, true);
    const at = step === FAR_APART ? -1 : BITE_COLORS.findIndex(({ below_mm }) => Math.round(step * step_mm * 10) / 10 < below_mm);
    (palette[at] ?? APART).toArray(colors, 3 * vertex);
  }
  return {
    contact_mm2: view.getFloat32(20, true),
    through_mm2: view.getFloat32(24, true),
    deepest_mm: view.getFloat32(28, true),
    colors: new BufferAttribute(colors, 3),
  };
}
